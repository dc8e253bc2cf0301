// Buys a server, and shows what there is to know about it:
//
//     node dist/shop.js wallet
//     node dist/shop.js buy order.json      # the key of the purchase is kept in order.json.key
//     node dist/shop.js watch
//
// SHOP_GIZAD is where gizad is (localhost:7070, unix:/run/gizad/gizad.sock), SHOP_TOKEN_FILE has the token, if one is needed.

import { readFileSync } from "node:fs";
import { fromJsonString } from "@bufbuild/protobuf";
import { Client, Failure, keptKey } from "./client.js";
import { type Operation, Operation_State } from "./gen/gizad/v1/operations_pb.js";
import { CreateVpsRequestSchema } from "./gen/gizad/v1/vps_pb.js";

function tell(operation: Operation): void {
  const named = operation.purchase?.serviceIds ?? [];
  const services = named.length ? named : (operation.evidence?.serviceIds ?? []);
  const line = `${operation.operationId} ${Operation_State[operation.state]} ${operation.postedVnd} VND`;
  console.log(line + services.map((one) => ` service ${one}`).join(""));
}

async function main(client: Client, command?: string, file?: string): Promise<number> {
  if (command === "wallet") {
    console.log(`${await client.balance()} VND`);
    return 0;
  }
  if (command === "buy" && file) {
    const order = fromJsonString(CreateVpsRequestSchema, readFileSync(file, "utf8"));
    const operation = await client.buy(client.vps.createVps, order, keptKey(`${file}.key`));
    tell(operation);
    return operation.state === Operation_State.SUCCEEDED || operation.state === Operation_State.FOUND ? 0 : 2;
  }
  if (command === "watch") {
    for await (const operation of client.watch()) tell(operation);
  }
  console.error("shop.js wallet | buy ORDER.json | watch");
  return 2;
}

const client = new Client(process.env["SHOP_GIZAD"], process.env["SHOP_TOKEN_FILE"]);
try {
  process.exitCode = await main(client, ...process.argv.slice(2));
} catch (failure) {
  if (!(failure instanceof Failure)) throw failure;
  console.error(failure.message);
  for (const { field, description } of failure.violations) console.error(`  ${field}: ${description}`);
  console.error(`  request ${failure.requestId}`);
  process.exitCode = 1;
}
