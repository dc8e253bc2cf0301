"""A client of gizad over gRPC: what a service in Python would copy.

It needs grpcio, grpcio-status and the stubs made from proto/ (see docs/clients.md).
"""

import os
import pathlib
import random
import sys
import time
import uuid

import grpc
from gizad.v1 import operations_pb2, operations_pb2_grpc, vps_pb2_grpc, wallet_pb2, wallet_pb2_grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

State = operations_pb2.Operation.State

# How long one attempt may take: it becomes the deadline of the call. A purchase has the provider's time beside gizad's own.
READ, BUY = 10, 65


class Failure(Exception):
    """A call that did not succeed, with what gizad says about it."""

    def __init__(self, error):
        self.code = error.code()
        self.detail = error.details()
        self.reason, self.metadata = "", {}
        self.violations, self.retry_after, self.request_id = [], None, ""
        # google.rpc.Status travels in the trailers. It is not there if the library failed by itself: no connection, no time left.
        status = rpc_status.from_call(error)
        for packed in status.details if status else ():
            if packed.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                info = error_details_pb2.ErrorInfo.FromString(packed.value)
                self.reason, self.metadata = info.reason, dict(info.metadata)
            elif packed.Is(error_details_pb2.BadRequest.DESCRIPTOR):
                wrong = error_details_pb2.BadRequest.FromString(packed.value)
                self.violations = [(one.field, one.description) for one in wrong.field_violations]
            elif packed.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
                delay = error_details_pb2.RetryInfo.FromString(packed.value).retry_delay
                self.retry_after = delay.seconds + delay.nanos / 1e9
            elif packed.Is(error_details_pb2.RequestInfo.DESCRIPTOR):
                self.request_id = error_details_pb2.RequestInfo.FromString(packed.value).request_id
        super().__init__(" ".join(filter(None, [self.code.name, self.reason])) + f": {self.detail}")

    @property
    def may_repeat(self):
        """UNAVAILABLE, whatever was called, and a limit that says when. Nothing else gets better by asking again."""
        limited = self.code == grpc.StatusCode.RESOURCE_EXHAUSTED and self.retry_after is not None
        return self.code == grpc.StatusCode.UNAVAILABLE or limited

    @property
    def undecided(self):
        """The call may have been carried out: gizad does not know yet, or its answer did not come in time."""
        return self.reason == "OUTCOME_UNKNOWN" or self.code == grpc.StatusCode.DEADLINE_EXCEEDED


class Client:
    """One channel for the whole program: connections are made, shared and made anew behind it."""

    def __init__(self, target="localhost:7070", token_file=None):
        # A stream may be silent for long: whether the other end is still there is asked after a minute.
        options = [("grpc.keepalive_time_ms", 60_000), ("grpc.keepalive_timeout_ms", 20_000)]
        if target.startswith("unix:"):
            # gRPC's C core would put the path of the socket where HTTP/2 has the host.
            options.append(("grpc.default_authority", "localhost"))
        # In the clear: for the Unix socket and this machine. Elsewhere gizad has TLS: grpc.secure_channel.
        self.channel = grpc.insecure_channel(target, options)
        self.token_file = token_file and pathlib.Path(token_file)
        self.wallet = wallet_pb2_grpc.WalletServiceStub(self.channel)
        self.vps = vps_pb2_grpc.VpsServiceStub(self.channel)
        self.operations = operations_pb2_grpc.OperationServiceStub(self.channel)

    def once(self, method, request, timeout):
        """One attempt."""
        try:
            return method(request, timeout=timeout, metadata=self.metadata())
        except grpc.RpcError as error:
            raise Failure(error) from None

    def metadata(self):
        """The token is read anew for each call, so that a file that was replaced is followed without a restart."""
        return [("authorization", f"Bearer {self.token_file.read_text().strip()}")] if self.token_file else []

    def call(self, method, request, timeout=READ, within=60):
        """Calls until it is answered, or until `within` seconds are over."""
        until = time.monotonic() + within
        attempt = 0
        while True:
            try:
                return self.once(method, request, max(0.001, min(timeout, until - time.monotonic())))
            except Failure as failure:
                pause = (failure.retry_after or 0) + backoff(attempt)
                if not failure.may_repeat or time.monotonic() + pause > until:
                    raise
                print(f"{failure.code.name} {failure.reason}: again in {pause:.2f} s", file=sys.stderr)
                time.sleep(pause)
                attempt += 1

    def balance(self):
        """What is in the wallet, in đồng."""
        return self.call(self.wallet.GetWallet, wallet_pb2.GetWalletRequest()).balance_vnd

    def buy(self, method, order, key, within=180):
        """Buys something, once, however often this is called with this key and this order.

        The operation says what became of it, and may be in doubt still when the time is over: then call this again, with the same key.
        """
        order.request_id = key
        until = time.monotonic() + within
        while True:
            try:
                operation = self.call(method, order, BUY, until - time.monotonic())
            except Failure as failure:
                if not failure.undecided:
                    raise
                # Whether it was bought is written down at gizad, under the key. To send the order again would tell nothing new.
                print(f"{failure.code.name} {failure.reason}: asking what became of {key}", file=sys.stderr)
                operation = self.find(key)
            if operation and operation.state != State.NOT_SENT:
                return self.settled(operation, until)
            # It never came to gizad, or it is proven that nothing was sent: the same call, with the same key.
            if time.monotonic() > until:
                raise TimeoutError(f"{key} was not sent")
            time.sleep(backoff(3))

    def find(self, key):
        """The operation under a key of ours, if there is one."""
        asked = operations_pb2.ListOperationsRequest(request_id=key)
        return next(iter(self.call(self.operations.ListOperations, asked).operations), None)

    def settled(self, operation, until):
        """The same operation once nothing changes any more, a person has to decide, or the time is over."""
        people = (State.AWAITING_APPROVAL, State.NEEDS_OPERATOR)
        while not operation.done and operation.state not in people and time.monotonic() < until:
            # Waits at gizad, which answers as soon as something has become of it.
            wait = max(1, min(30, int(until - time.monotonic())))
            asked = operations_pb2.GetOperationRequest(operation_id=operation.operation_id, wait=f"{wait}s")
            operation = self.call(self.operations.GetOperation, asked, wait + READ)
        return operation

    def watch(self):
        """Every operation as it changes, for as long as the program runs."""
        attempt = 0
        while True:
            pause = 0
            try:
                # No deadline: the stream is meant to last. What is under way or in doubt comes first, each time it is begun.
                for operation in self.operations.WatchOperations(operations_pb2.WatchOperationsRequest(), metadata=self.metadata()):
                    attempt = 0
                    yield operation
            except grpc.RpcError as error:
                failure = Failure(error)
                if not failure.may_repeat:
                    raise failure from None
                pause = failure.retry_after or 0
            time.sleep(pause + backoff(attempt))
            attempt += 1


def backoff(attempt):
    """Up to 0.1, 0.2, 0.4 … 5 seconds, by chance, so that those who failed together do not come back together."""
    return random.uniform(0, min(5, 0.1 * 2**attempt))


def kept_key(path):
    """A key for one purchase that outlives this process: it is on the disk before the purchase is sent, and found there again."""
    path = pathlib.Path(path)
    if not path.exists():
        new = path.with_name(path.name + ".new")
        with open(new, "w") as file:
            file.write(str(uuid.uuid4()))
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
    return path.read_text().strip()
