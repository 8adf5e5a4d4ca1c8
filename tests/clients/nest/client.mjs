// Looks at the stocks of a sku and buys two pieces, with NestJS' request/reply as it comes.
// Takes brokers, a user and a sku; prints a reply a line, and what becomes of a refusal.
import "reflect-metadata";
import { ClientKafka } from "@nestjs/microservices";
import { lastValueFrom, timeout } from "rxjs";

const PATIENCE_MS = 60_000;
const [brokers, user, sku] = process.argv.slice(2);

const client = new ClientKafka({
  client: { clientId: "nest", brokers: brokers.split(",") },
  consumer: { groupId: `nest-${user}` },
});
// Each reply comes in a topic named after its request's: cart.requests.reply, …
client.subscribeToResponseOf("stock.requests");
client.subscribeToResponseOf("cart.requests");
await client.connect();

// As a controller of Nest's does it that returns what `send` returns: until its end.
const ask = (topic, key, value) =>
  lastValueFrom(client.send(topic, { key, value }).pipe(timeout(PATIENCE_MS)));
const show = async (...words) => console.log(JSON.stringify(await ask(...words)));

await show("stock.requests", sku, { type: "stocks", sku: Number(sku) });
const line = { user: Number(user), sku: Number(sku), count: 2 };
await show("cart.requests", user, { type: "addToCart", ...line });
await show("cart.requests", user, { type: "purchase", user: Number(user) });
const again = await ask("cart.requests", user, { type: "purchase", user: Number(user) });
console.log("refused", again.type, again.code);
await client.close();
