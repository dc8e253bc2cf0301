"""Buys a server, and shows what there is to know about it:

    shop.py wallet
    shop.py buy order.json      # the key of the purchase is kept in order.json.key
    shop.py watch

SHOP_GIZAD is where gizad is (localhost:7070, unix:/run/gizad/gizad.sock), SHOP_TOKEN_FILE has the token, if one is needed.
"""

import os
import pathlib
import sys

from client import Client, Failure, State, kept_key
from gizad.v1 import vps_pb2
from google.protobuf import json_format


def tell(operation):
    line = f"{operation.operation_id} {State.Name(operation.state)} {operation.posted_vnd} VND"
    services = operation.purchase.service_ids or operation.evidence.service_ids
    print(line + "".join(f" service {one}" for one in services), flush=True)


def main(client, command, *arguments):
    if command == "wallet":
        print(f"{client.balance()} VND")
    elif command == "buy":
        order = json_format.Parse(pathlib.Path(arguments[0]).read_text(), vps_pb2.CreateVpsRequest())
        operation = client.buy(client.vps.CreateVps, order, kept_key(f"{arguments[0]}.key"))
        tell(operation)
        return 0 if operation.state in (State.SUCCEEDED, State.FOUND) else 2
    elif command == "watch":
        for operation in client.watch():
            tell(operation)
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    client = Client(os.environ.get("SHOP_GIZAD", "localhost:7070"), os.environ.get("SHOP_TOKEN_FILE"))
    try:
        sys.exit(main(client, *(sys.argv[1:] or ["help"])))
    except Failure as failure:
        print(failure, file=sys.stderr)
        for field, description in failure.violations:
            print(f"  {field}: {description}", file=sys.stderr)
        print(f"  request {failure.request_id}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
