// Makes a call by hand in the Kafka UI, and looks for the reply and for the shop's tables.
// Takes a Chromium, the UI's address and a sku; leaves pictures where it is run.
import { watched } from "./watched.mjs";

const [executable, url, sku] = process.argv.slice(2);

async function table(page, name) {
  await page.getByRole("link", { name: "All topics" }).click();
  await page.screenshot({ path: "topics.png" });
  await page.getByRole("link", { name, exact: true }).click();
  await page.locator("[name=find]").fill(sku);
  await page.getByRole("button", { name: "Show" }).click();
  await page.screenshot({ path: "table.png" });
  return {
    keys: await page.locator("td.key").allInnerTexts(),
    values: await page.locator("td:last-child").allInnerTexts(),
  };
}

await watched(executable, async (page) => {
  await page.goto(url);
  await page.getByRole("link", { name: "stock.requests" }).click();
  await page.getByRole("link", { name: "stocks", exact: true }).click();
  const example = JSON.parse(await page.locator("[name=value]").inputValue());
  await page.locator("[name=value]").fill(JSON.stringify({ ...example, sku: Number(sku) }));
  await page.getByRole("button", { name: "Produce" }).click();
  await page.locator(".done").waitFor();
  await page.screenshot({ path: "sent.png" });
  const asked = await page.locator("tr").nth(1).locator("td").allInnerTexts();
  await page.locator(".done a").first().click();
  const reply = page.locator("tr").nth(1);
  while ((await reply.count()) === 0) await page.reload();
  await page.screenshot({ path: "reply.png" });
  const answered = await reply.locator("td").allInnerTexts();
  return { asked, answered, table: await table(page, "loms-stock-changelog") };
});
