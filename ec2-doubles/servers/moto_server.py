"""Runs the EC2 emulator moto with some instances, until its standard input ends.

Arguments: what the addresses of its network begin with, "127.7.1."; the instances as JSON, [{"name", "type", "state",
"private", "public", "group", "tags"}], of which all but the name may be missing. Prints one line of JSON: the endpoint,
the ids of network, subnet and groups, and those of the instances in the order of the arguments. Everything is in
eu-west-1.
"""

import json
import logging
import os
import sys

os.environ.update(AWS_ACCESS_KEY_ID="fake", AWS_SECRET_ACCESS_KEY="fake", MOTO_EC2_LOAD_DEFAULT_AMIS="false")

import boto3
from moto.server import ThreadedMotoServer


def launch(ec2, wanted, subnet, groups):
    tags = {"Name": wanted["name"], **wanted.get("tags", {})}
    place = {"PrivateIpAddress": wanted["private"]} if wanted.get("private") else {}
    answer = ec2.run_instances(
        ImageId="ami-12345678",
        InstanceType=wanted.get("type", "c5.large"),
        MinCount=1,
        MaxCount=1,
        SubnetId=subnet,
        SecurityGroupIds=[groups[wanted.get("group", "plain")]],
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        ],
        **place,
    )
    instance = answer["Instances"][0]["InstanceId"]
    if wanted.get("public"):
        address = ec2.allocate_address(Domain="vpc", Address=wanted["public"])
        ec2.associate_address(InstanceId=instance, AllocationId=address["AllocationId"])
    if wanted.get("state") == "stopped":
        ec2.stop_instances(InstanceIds=[instance])
    if wanted.get("state") == "terminated":
        ec2.terminate_instances(InstanceIds=[instance])
    return instance


def main():
    network, launches = sys.argv[1], json.loads(sys.argv[2])
    logging.getLogger("werkzeug").disabled = True
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    ec2 = boto3.client("ec2", region_name="eu-west-1", endpoint_url=endpoint)
    block = f"{network}0/24"
    vpc = ec2.create_vpc(CidrBlock=block)["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone="eu-west-1a")["Subnet"]["SubnetId"]
    names = {"plain"} | {wanted["group"] for wanted in launches if wanted.get("group")}
    groups = {
        name: ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"] for name in sorted(names)
    }
    instances = [launch(ec2, wanted, subnet, groups) for wanted in launches]
    world = {"endpoint": endpoint, "vpc": vpc, "subnet": subnet, "groups": groups, "instances": instances}
    print(json.dumps(world), flush=True)
    sys.stdin.read()


main()
