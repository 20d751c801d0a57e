"""A program that is run beside a service while somebody outside uses it.

The API server's port forwarding ends at a pod's loopback; services listen at the pod's address. So it takes connections at the one and carries
them to the other, until its input ends: with whoever started it.
"""

READY = b"ready"
PROGRAM = """
import os, socket, sys, threading

def carry(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()
        target.close()

def serve(listener, host, port):
    while True:
        near, _ = listener.accept()
        try:
            far = socket.create_connection((host, port), 10)
        except OSError:
            near.close()
            continue
        far.settimeout(None)
        for pair in ((near, far), (far, near)):
            threading.Thread(target=carry, args=pair, daemon=True).start()

for port in map(int, sys.argv[2:]):
    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError:
        continue
    threading.Thread(target=serve, args=(listener, sys.argv[1], port), daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
os._exit(0)
"""
"""Arguments: the pod's address, ports. A port that is taken needs no help: the service listens at all addresses."""
