"""S3 over HTTP on loopback, with the bucket of that name, until standard input ends: BUCKET. Prints where."""

import sys

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://{host}:{port}"
keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s"}
s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
s3.create_bucket(Bucket=sys.argv[1])
print("URL", url, flush=True)
sys.stdin.read()
