// Opens the gateway's pages as a person does, and tries a call in Swagger UI.
// Takes a Chromium, the gateway's address and a sku; leaves pictures where it is run.
import { watched } from "./watched.mjs";

const [executable, url, sku] = process.argv.slice(2);

async function tried(call, body) {
  await call.locator("textarea.body-param__text").fill(body);
  await call.getByRole("button", { name: "Execute" }).click();
  const reply = call.locator(".live-responses-table .response");
  const seen = {
    status: await reply.locator(".response-col_status").innerText(),
    body: JSON.parse(await reply.locator(".highlight-code .microlight").first().innerText()),
    headers: (await reply.locator(".headerline").allInnerTexts()).map((line) => line.trim()),
  };
  await reply.scrollIntoViewIfNeeded();
  await call.page().screenshot({ path: `swagger-${seen.status}.png` });
  // Else the next look might still see this reply.
  await call.getByRole("button", { name: "Clear" }).click();
  await reply.waitFor({ state: "detached" });
  return seen;
}

async function topics(page) {
  await page.goto(url);
  await page.getByRole("link", { name: "Topics and messages" }).click();
  await page.locator("summary", { hasText: "addToCart" }).first().click();
  await page.screenshot({ path: "events.png" });
  return page.locator("details[open]").innerText();
}

await watched(executable, async (page) => {
  await page.goto(url);
  await page.screenshot({ path: "start.png" });
  await page.getByRole("link", { name: "Try the calls" }).click();
  const call = page.locator(".opblock").filter({ has: page.locator("[data-path='/stocks']") });
  await call.locator(".opblock-summary-control").click();
  await call.getByRole("button", { name: "Try it out" }).click();
  const good = await tried(call, JSON.stringify({ sku: Number(sku) }));
  const bad = await tried(call, JSON.stringify({ sku: "x" }));
  return { good, bad, topics: await topics(page) };
});
