#!/usr/bin/env python3
"""Writes signed.json: requests as botocore and curl sign them.

Run it where botocore and curl are installed, in this folder:

    python3 generate.py > signed.json

botocore's requests are signed at a fixed time; curl's are caught on a
loopback socket and carry the time of the run.
"""
import datetime
import hashlib
import json
import socket
import subprocess
import threading

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

NOW = datetime.datetime(2026, 3, 1, 12, 0, 0, tzinfo=datetime.timezone.utc)
KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "FwoGZXIvYXdzEXAMPLE//+token=="
TARGET = "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories"
JSON = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": TARGET}

botocore.auth.get_current_datetime = lambda remove_tzinfo=True: NOW.replace(tzinfo=None)


def raw(request, body):
    """The request as it goes over the wire."""
    prepared = request.prepare()
    scheme, rest = prepared.url.split("://", 1)
    host, slash, path = rest.partition("/")
    if not slash:
        host, mark, query = rest.partition("?")
        path = mark + query
    headers = {"Host": host}
    headers.update({k: v.decode() if isinstance(v, bytes) else v for k, v in prepared.headers.items()})
    if body:
        headers["Content-Length"] = str(len(body))
    head = f"{prepared.method} /{path} HTTP/1.1\r\n"
    return head + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n" + body


def botocore_case(name, signer, service="ecr", region="us-east-1", method="POST", body="{}",
                  url="http://localhost:5000/", headers=JSON, token=None, **options):
    request = AWSRequest(method=method, url=url, headers=dict(headers), data=body.encode())
    signer(Credentials(KEY, SECRET, token), service, region, **options).add_auth(request)
    return {"name": "botocore " + name, "service": service, "region": region, "token": token or "",
            "time": NOW.strftime("%Y%m%dT%H%M%SZ"), "request": raw(request, body)}


def botocore_cases():
    header, presigned = botocore.auth.SigV4Auth, botocore.auth.SigV4QueryAuth
    yield botocore_case("header", header)
    yield botocore_case("empty body", header, body="")
    yield botocore_case("other region", header, region="eu-central-1")
    yield botocore_case("aws host", header, url="https://api.ecr.us-east-1.amazonaws.com/")
    yield botocore_case("long body", header, body=json.dumps({"nextToken": "x" * 5000}))
    yield botocore_case("unicode body", header, body=json.dumps({"name": "gr\u00fc\u00dfe"}, ensure_ascii=True))
    yield botocore_case("session token", header, token=TOKEN)
    yield botocore_case("sts", header, service="sts", headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
                        body="Action=GetCallerIdentity&Version=2011-06-15")
    yield botocore_case("content hash", header, headers=JSON | {
        "X-Amz-Content-SHA256": hashlib.sha256(b"{}").hexdigest()})
    yield botocore_case("spaces in a header", header, headers=JSON | {"X-Note": "  a   b  c "})
    yield botocore_case("query", header, url="http://localhost:5000/?b=2&a=1&a=0&c=")
    yield botocore_case("query without a value", header, url="http://localhost:5000/?b=&a=")
    yield botocore_case("odd query", header,
                        url="http://localhost:5000/?key=a%20b%2Bc%2Fd%3De%26f&%C3%BC=%E2%82%AC&tilde=~-_.&star=%2A%27%28%29%21")
    yield botocore_case("prefix names in the query", header, url="http://localhost:5000/?a=1&a-b=2&a.b=3&ab=4")
    yield botocore_case("path", header, url="http://localhost:5000/a%20b/c%2Fd/e~*/", method="GET", body="", headers={})
    yield botocore_case("presigned", presigned, method="GET", body="", headers={}, service="sts",
                        url="http://localhost:5000/?Action=GetCallerIdentity&Version=2011-06-15", expires=60)
    yield botocore_case("presigned with token", presigned, method="GET", body="", headers={}, service="sts",
                        url="http://localhost:5000/?Action=GetCallerIdentity&Version=2011-06-15", token=TOKEN)
    yield botocore_case("presigned with headers", presigned, method="POST", body="", expires=900)
    yield botocore_case("presigned odd query", presigned, method="GET", body="", headers={},
                        url="http://localhost:5000/?x=a%20b%2Bc%2F&y=~%2A")


def catch(command):
    """Runs curl against a socket and returns what it sent."""
    server = socket.create_server(("127.0.0.1", 0))
    caught = []

    def serve():
        connection, _ = server.accept()
        with connection:
            data = b""
            while b"\r\n\r\n" not in data:
                data += connection.recv(65536)
            head, _, body = data.partition(b"\r\n\r\n")
            want = next((int(line.split(b":")[1]) for line in head.split(b"\r\n")
                         if line.lower().startswith(b"content-length:")), 0)
            while len(body) < want:
                body += connection.recv(65536)
            connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        caught.append((head + b"\r\n\r\n" + body).decode())

    thread = threading.Thread(target=serve)
    thread.start()
    address = "http://127.0.0.1:%d" % server.getsockname()[1]
    subprocess.run(["curl", "-s", *[a.replace("ADDRESS", address) for a in command]], check=True)
    thread.join()
    server.close()
    return caught[0]


def curl_case(name, *command, service="ecr", region="us-east-1", token=""):
    sign = ["--aws-sigv4", f"aws:amz:{region}:{service}", "--user", f"{KEY}:{SECRET}"]
    request = catch([*sign, *command])
    date = next(line.split(":", 1)[1].strip() for line in request.split("\r\n") if line.lower().startswith("x-amz-date:"))
    return {"name": "curl " + name, "service": service, "region": region, "token": token, "time": date, "request": request}


def curl_cases():
    target, kind = "X-Amz-Target: " + TARGET, "Content-Type: application/x-amz-json-1.1"
    yield curl_case("header", "-H", target, "-H", kind, "-d", "{}", "ADDRESS/")
    yield curl_case("no body", "-H", target, "-H", kind, "-X", "POST", "ADDRESS/")
    yield curl_case("session token", "-H", target, "-H", kind, "-H", "X-Amz-Security-Token: " + TOKEN, "-d", "{}", "ADDRESS/",
                    token=TOKEN)
    yield curl_case("form", "-d", "Action=GetCallerIdentity&Version=2011-06-15", "ADDRESS/", service="sts")
    yield curl_case("get", "ADDRESS/?Action=GetCallerIdentity&Version=2011-06-15", service="sts")


print(json.dumps({"key": KEY, "secret": SECRET, "cases": [*botocore_cases(), *curl_cases()]}, indent=1))
