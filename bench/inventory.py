#!/usr/bin/env python3
"""How long `psh --list` takes to choose among the hosts of a provider whose answer is kept: the whole process, in
milliseconds, and where valgrind is installed in millions of instructions, which other work on the machine does not
change. Usage: bench/inventory.py PSH [HOSTS...]

The provider is `cat` with records as those of EC2 are: ten tags and ten facts each."""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 15
CHOICES = ["@lab:*", "tag:Role=web", "@lab:*&az:eu-west-1a"]


def record(number):
    role = ["web", "db", "loadgen", "cache", "worker"][number % 5]
    last = f"{number // 65536}.{number // 256 % 256}.{number % 256}"
    dashed = last.replace(".", "-")
    return {
        "id": f"i-{number:017x}", "name": f"{role}-{number}", "state": "running",
        "addresses": {"private": f"10.{last}", "public": f"54.{last}",
                      "private_dns": f"ip-10-{dashed}.eu-west-1.compute.internal",
                      "public_dns": f"ec2-54-{dashed}.eu-west-1.compute.amazonaws.com"},
        "tags": {"Name": f"{role}-{number}", "Role": role, "Environment": "production", "Owner": "platform",
                 "CostCenter": f"cc-{number % 40}", "aws:autoscaling:groupName": f"asg-{role}",
                 "aws:cloudformation:stack-name": f"stack-{role}", "fleet:cluster": "blue",
                 "Build": f"2026.11.{number % 30}", "Note": "a b, c = d"},
        "facts": {"region": "eu-west-1", "az": "eu-west-1" + "abc"[number % 3], "vpc": "vpc-0123456789abcdef0",
                  "subnet": f"subnet-0123456789abcde{number % 3}", "type": "c5.large", "image": "ami-0123456789abcdef0",
                  "sg": ["sg-0123456789abcdef0", "web-sg"], "asg": f"asg-{role}", "launched": "2026-01-01T00:00:00Z",
                  "account": "123456789012"},
    }


def instructions(command, environment, folder):
    if not shutil.which("valgrind"):
        return "-"
    counted = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command]
    told = subprocess.run(counted, env=environment, cwd=folder, check=True, capture_output=True, text=True).stderr
    return round(int(re.search(r"Collected : (\d+)", told)[1]) / 1e6)


def measure(psh, hosts, folder):
    answer = folder / "answer.json"
    answer.write_text(json.dumps({"protocol": 1, "hosts": [record(number) for number in range(hosts)]}))
    settings = folder / "fleet.toml"
    settings.write_text(f"[provider.lab]\ncommand = {json.dumps(['/bin/cat', str(answer)])}\n")
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "FLEET_CONFIG": str(settings)}
    for choice in CHOICES:
        command = [psh, "--cache-ttl", "1h", "-g", choice, "--list", "--limit", "1"]
        walls, cpus = [], []
        for run in range(RUNS + 1):
            before, start = os.times(), time.monotonic()
            subprocess.run(command, env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            wall, after = time.monotonic() - start, os.times()
            cpu = after.children_user + after.children_system - before.children_user - before.children_system
            if run:  # The first fills the cache.
                walls.append(wall * 1000)
                cpus.append(cpu * 1000)
        count = instructions(command, environment, folder)
        median, cpu = statistics.median(walls), statistics.median(cpus)
        print(f"| {hosts} | {choice} | {median:.0f} ({min(walls):.0f}-{max(walls):.0f}) | {cpu:.0f} | {count} |", flush=True)


def main():
    psh, *counts = sys.argv[1:] or sys.exit(__doc__)
    print("| hosts | -g | wall, ms | CPU, ms | instructions, millions |\n| --- | --- | --- | --- | --- |")
    for hosts in [int(count) for count in counts] or [2500, 10000]:
        with tempfile.TemporaryDirectory(prefix="fleet-bench-") as folder:
            measure(str(Path(psh).resolve()), hosts, Path(folder))


main()
