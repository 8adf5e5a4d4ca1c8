// A page in the Chromium that is installed here, which notes what it asks and complains of.
import { chromium } from "playwright-core";

const PATIENCE_MS = 60_000;

// Calls `scene` with a page; prints what it returns, the hosts that the browser asked
// besides, and what the console called an error.
export async function watched(executablePath, scene) {
  // Chromium's sandbox does not work for root, and in many containers for nobody.
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    page.setDefaultTimeout(PATIENCE_MS);
    const hosts = new Set();
    const errors = [];
    page.on("request", (request) => hosts.add(new URL(request.url()).hostname));
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") errors.push(message.text());
    });
    const seen = await scene(page);
    console.log(JSON.stringify({ ...seen, hosts: [...hosts], errors }));
  } finally {
    await browser.close();
  }
}
