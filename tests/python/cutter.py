"""A way to a gateway that can be cut while it is in use, as a network does."""

import contextlib
import socket
import threading


class Cutter:
    """Hands on what it gets, in both directions, until it is cut; then to whoever comes next."""

    def __init__(self, target):
        host, port = target.rsplit(":", 1)
        self.target, self.pairs, self.lock = (host, int(port)), [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:{}".format(self.listener.getsockname()[1])
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(self.target)
            with self.lock:
                self.pairs.append((near, far))
            for way in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=way, daemon=True).start()

    @staticmethod
    def pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self):
        """Ends every connection that there is."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        assert pairs, "nobody was connected"
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
