"""AWS, for a task: serves at an address that the VPC has, and wants every call signed with what it gave.

Prints the credentials of the task's role, as the ECS agent hands them out, and serves until its stdin ends.
"""

import json
import os
import sys

# What is asked for before the task has credentials, which the calls below are.
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "3"
os.environ["AWS_ACCESS_KEY_ID"] = os.environ["AWS_SECRET_ACCESS_KEY"] = "operator"

import boto3
from moto.server import ThreadedMotoServer

address = sys.argv[1]
server = ThreadedMotoServer(address, 80, verbose=False)
server.start()


def client(service):
    return boto3.client(service, region_name="eu-west-1", endpoint_url=f"http://{address}")


def policy(**statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


trust = policy(Principal={"Service": "ecs-tasks.amazonaws.com"}, Action="sts:AssumeRole")
role = client("iam").create_role(RoleName="task", AssumeRolePolicyDocument=trust)["Role"]
anything = policy(Action="*", Resource="*")
client("iam").put_role_policy(RoleName="task", PolicyName="anything", PolicyDocument=anything)
given = client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="session")["Credentials"]
credentials = {
    "RoleArn": role["Arn"],
    "AccessKeyId": given["AccessKeyId"],
    "SecretAccessKey": given["SecretAccessKey"],
    "Token": given["SessionToken"],
    "Expiration": given["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
}
print(json.dumps(credentials), flush=True)
sys.stdin.read()
