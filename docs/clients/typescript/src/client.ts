// A client of gizad over gRPC: what a service in TypeScript would copy. The stubs are made from proto/ (see docs/clients.md).

import { randomUUID } from "node:crypto";
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type CallOptions, type Client as Stub, Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { type Operation, Operation_State, OperationService } from "./gen/gizad/v1/operations_pb.js";
import { VpsService } from "./gen/gizad/v1/vps_pb.js";
import { WalletService } from "./gen/gizad/v1/wallet_pb.js";
import { BadRequestSchema, ErrorInfoSchema, RequestInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";

/** How long one attempt may take: it becomes the deadline of the call. A purchase has the provider's time beside gizad's own. */
const READ = 10_000;
const BUY = 65_000;

/** A call that did not succeed, with what gizad says about it. */
export class Failure extends Error {
  readonly code: Code;
  readonly reason: string;
  readonly metadata: Record<string, string>;
  readonly violations: { field: string; description: string }[];
  /** Milliseconds after which it makes sense to ask again, if gizad knows. */
  readonly retryAfter: number | undefined;
  readonly requestId: string;

  constructor(cause: unknown) {
    // google.rpc.Status travels in the trailers. It is not there if the library failed by itself: no connection, no time left.
    const error = ConnectError.from(cause);
    const [info] = error.findDetails(ErrorInfoSchema);
    const [retry] = error.findDetails(RetryInfoSchema);
    // What is not gizad's own has no ErrorInfo. Among it are connect's words for a connection that broke.
    const broke = !info && [Code.Aborted, Code.Canceled, Code.Internal, Code.Unknown].includes(error.code);
    const code = broke ? Code.Unavailable : error.code;
    super(`${[codeName(code), info?.reason].filter(Boolean).join(" ")}: ${error.rawMessage}`, { cause });
    this.code = code;
    this.reason = info?.reason ?? "";
    this.metadata = info?.metadata ?? {};
    this.violations = error.findDetails(BadRequestSchema).flatMap((wrong) => wrong.fieldViolations);
    const delay = retry?.retryDelay;
    this.retryAfter = delay && Number(delay.seconds) * 1000 + delay.nanos / 1e6;
    this.requestId = error.findDetails(RequestInfoSchema)[0]?.requestId ?? "";
  }

  /** UNAVAILABLE, whatever was called, and a limit that says when. Nothing else gets better by asking again. */
  get mayRepeat(): boolean {
    return this.code === Code.Unavailable || (this.code === Code.ResourceExhausted && this.retryAfter !== undefined);
  }

  /** The call may have been carried out: gizad does not know yet, or its answer did not come in time. */
  get undecided(): boolean {
    return this.reason === "OUTCOME_UNKNOWN" || this.code === Code.DeadlineExceeded;
  }
}

/** A unary call of a stub. */
type Method<Request, Response> = (request: Request, options: CallOptions) => Promise<Response>;

/** One transport for the whole program: connections are made, shared and made anew behind it. */
export class Client {
  readonly wallet: Stub<typeof WalletService>;
  readonly vps: Stub<typeof VpsService>;
  readonly operations: Stub<typeof OperationService>;

  constructor(target = "localhost:7070", tokenFile?: string) {
    const token: Interceptor = (next) => async (request) => {
      // Read anew for each call, so that a file that was replaced is followed without a restart.
      if (tokenFile) request.header.set("authorization", `Bearer ${(await readFile(tokenFile, "utf8")).trim()}`);
      return next(request);
    };
    const socket = target.startsWith("unix:") ? target.slice("unix:".length) : undefined;
    const transport = createGrpcTransport({
      // In the clear: for the Unix socket and this machine. Elsewhere gizad has TLS: https.
      baseUrl: socket ? "http://localhost" : `http://${target}`,
      interceptors: [token],
      // A stream may be silent for long: whether the other end is still there is asked after a minute.
      pingIntervalMs: 60_000,
      pingTimeoutMs: 20_000,
      ...(socket && { nodeOptions: { createConnection: () => connect(socket) } }),
    });
    this.wallet = createClient(WalletService, transport);
    this.vps = createClient(VpsService, transport);
    this.operations = createClient(OperationService, transport);
  }

  /** Calls until it is answered, or until `within` milliseconds are over. */
  async call<Request, Response>(method: Method<Request, Response>, request: Request, timeout = READ, within = 60_000): Promise<Response> {
    const until = performance.now() + within;
    for (let attempt = 0; ; attempt++) {
      try {
        return await method(request, { timeoutMs: Math.max(1, Math.min(timeout, until - performance.now())) });
      } catch (error) {
        const failure = new Failure(error);
        const pause = (failure.retryAfter ?? 0) + backoff(attempt);
        if (!failure.mayRepeat || performance.now() + pause > until) throw failure;
        console.error(`${codeName(failure.code)} ${failure.reason}: again in ${(pause / 1000).toFixed(2)} s`);
        await sleep(pause);
      }
    }
  }

  /** What is in the wallet, in đồng, if the provider says so. */
  async balance(): Promise<bigint | undefined> {
    return (await this.call(this.wallet.getWallet, {})).balanceVnd;
  }

  /**
   * Buys something, once, however often this is called with this key and this order.
   *
   * The operation says what became of it, and may be in doubt still when the time is over: then call this again, with the same key.
   */
  async buy<Order extends { requestId: string }>(
    method: Method<Order, Operation>,
    order: Order,
    key: string,
    within = 180_000,
  ): Promise<Operation> {
    order.requestId = key;
    const until = performance.now() + within;
    for (;;) {
      let operation: Operation | undefined;
      try {
        operation = await this.call(method, order, BUY, until - performance.now());
      } catch (failure) {
        if (!(failure instanceof Failure && failure.undecided)) throw failure;
        // Whether it was bought is written down at gizad, under the key. To send the order again would tell nothing new.
        console.error(`${codeName(failure.code)} ${failure.reason}: asking what became of ${key}`);
        operation = await this.find(key);
      }
      if (operation && operation.state !== Operation_State.NOT_SENT) return this.settled(operation, until);
      // It never came to gizad, or it is proven that nothing was sent: the same call, with the same key.
      if (performance.now() > until) throw new Error(`${key} was not sent`);
      await sleep(backoff(3));
    }
  }

  /** The operation under a key of ours, if there is one. */
  async find(key: string): Promise<Operation | undefined> {
    return (await this.call(this.operations.listOperations, { requestId: key })).operations[0];
  }

  /** The same operation once nothing changes any more, a person has to decide, or the time is over. */
  async settled(operation: Operation, until: number): Promise<Operation> {
    const people = [Operation_State.AWAITING_APPROVAL, Operation_State.NEEDS_OPERATOR];
    while (!operation.done && !people.includes(operation.state) && performance.now() < until) {
      // Waits at gizad, which answers as soon as something has become of it.
      const wait = Math.max(1, Math.min(30, Math.floor((until - performance.now()) / 1000)));
      const asked = { operationId: operation.operationId, wait: `${wait}s` };
      operation = await this.call(this.operations.getOperation, asked, wait * 1000 + READ);
    }
    return operation;
  }

  /** Every operation as it changes, for as long as the program runs. */
  async *watch(): AsyncGenerator<Operation> {
    for (let attempt = 0; ; attempt++) {
      try {
        // No deadline: the stream is meant to last. What is under way or in doubt comes first, each time it is begun.
        for await (const operation of this.operations.watchOperations({})) {
          attempt = 0;
          yield operation;
        }
      } catch (error) {
        const failure = new Failure(error);
        if (!failure.mayRepeat) throw failure;
        await sleep(failure.retryAfter ?? 0);
      }
      await sleep(backoff(attempt));
    }
  }
}

/** Up to 0.1, 0.2, 0.4 … 5 seconds, by chance, so that those who failed together do not come back together. */
function backoff(attempt: number): number {
  return Math.random() * Math.min(5000, 100 * 2 ** attempt);
}

/** `FailedPrecondition` as gRPC spells it. */
function codeName(code: Code): string {
  return (Code[code] ?? String(code)).replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}

/** A key for one purchase that outlives this process: it is on the disk before the purchase is sent, and found there again. */
export function keptKey(path: string): string {
  if (!existsSync(path)) {
    const file = openSync(`${path}.new`, "w");
    writeSync(file, randomUUID());
    fsyncSync(file);
    closeSync(file);
    renameSync(`${path}.new`, path);
  }
  return readFileSync(path, "utf8").trim();
}
