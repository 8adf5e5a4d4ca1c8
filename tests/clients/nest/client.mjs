// Looks at the stocks of a sku and buys two pieces, with NestJS' request/reply.
// Takes brokers, a reply topic, a user and a sku; prints a reply a line.
import "reflect-metadata";
import { ClientKafka } from "@nestjs/microservices";
import { firstValueFrom, timeout } from "rxjs";

const PATIENCE_MS = 60_000;
const [brokers, replies, user, sku] = process.argv.slice(2);

// Nest's own names end in ".reply", and its partitions are decimal text. The shop writes to
// nothing that does not end in ".replies", and reads the partition as Spring writes it.
class ShopClient extends ClientKafka {
  getResponsePatternName() {
    return replies;
  }

  getReplyTopicPartition(topic) {
    const partition = Buffer.alloc(4);
    partition.writeInt32BE(Number(super.getReplyTopicPartition(topic)));
    return partition;
  }
}

const client = new ShopClient({
  client: { clientId: "nest", brokers: brokers.split(",") },
  consumer: { groupId: `nest-${user}` },
});
client.subscribeToResponseOf("any");
await client.connect();

const ask = async (topic, key, value) => {
  const reply = client.send(topic, { key, value }).pipe(timeout(PATIENCE_MS));
  console.log(JSON.stringify(await firstValueFrom(reply)));
};
await ask("stock.requests", sku, { type: "stocks", sku: Number(sku) });
const line = { user: Number(user), sku: Number(sku), count: 2 };
await ask("cart.requests", user, { type: "addToCart", ...line });
await ask("cart.requests", user, { type: "purchase", user: Number(user) });
await client.close();
