"""An application that asks AWS who it is, and then once more with a key that is not its own."""

import boto3
from botocore.exceptions import ClientError

print(boto3.client("sts").get_caller_identity()["Arn"])
own = boto3.Session().get_credentials()
print(own.method)
forged = boto3.client(
    "sts",
    aws_access_key_id=own.access_key,
    aws_secret_access_key="forged",
    aws_session_token=own.token,
)
try:
    forged.get_caller_identity()
except ClientError as error:
    print(error.response["Error"]["Code"])
