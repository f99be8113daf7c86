#!/usr/bin/env python3
"""Prints the time (seconds since 1970) at which ADDRESS:PORT first ends a TLS handshake after it has stopped doing so.

    tests/node/accept.py ADDRESS PORT SECONDS

Writes "watching" to standard error as soon as the first handshake has succeeded, so that the caller can go on and kill.
"""

import socket
import ssl
import sys
import time


def accepts(address, port):
    # What is asked is when the port serves, not whom it is: the certificate is the webhook's caller's business.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((address, port), timeout=1) as plain, context.wrap_socket(plain):
            return True
    except OSError:
        return False


def until(wanted, address, port, deadline):
    while accepts(address, port) != wanted:
        if time.monotonic() > deadline:
            sys.exit(f"{address}:{port} did not come to {'accept' if wanted else 'refuse'} connections in time")
        time.sleep(0.002)


def main():
    address, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    deadline = time.monotonic() + seconds
    until(True, address, port, deadline)
    print("watching", file=sys.stderr, flush=True)
    until(False, address, port, deadline)
    until(True, address, port, deadline)
    print(f"{time.time():.3f}")


if __name__ == "__main__":
    main()
