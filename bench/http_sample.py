# SPDX-License-Identifier: BSD-2-Clause
"""One sample of the HTTP benchmarks: http_sample.py KEYS PIDS CLIENT…

Runs the client (msload -j or wrk --latency) and prints a line of JSON: KEYS, what the client says, and what it
cost. Runs in the server's network namespace, whose NIC is nic0. PIDS, with commas: the switch's (0: there is
none), the server's, and those of others who take part; a + joins those of several. With msload --warm-up what
it costs counts from when that is over.

  core0_percent, core1_percent   of the cores that hold the server side and the client side, of the time that the
                                 host gave them
  limit                          whose core was full: server, client, both or neither
  cpu_us_per_request             time of core 0, all that it did, for a request; without RPS (http_lab.sh) some of
                                 that is the client's, for packets that the server sent
  server_us_per_request,         the part of it that the scheduler gave to the server, and to the switch; what is
  switch_us_per_request          left is the kernel's, for packets (softirq)
  other_percent                  of both cores, from the client's start to its end, what processes had that take no
                                 part: if it is much, the machine was busy with something else
  packets_per_request            frames on the server's NIC, both ways; a large send over a veth is one

A sample is a figure of the server where limit is "server". A client in a closed loop asks for the next response as
soon as it has one, so what is not the limit waits for what is, idle. A core is full from FULL percent on; what is
missing is the client's start and its end, 5 % of a sample of one second. The server's core is the limit where it is
full and the client's was idle for longer, by ROOM percent of the time at least, which is two ticks of the clock in a
second, as exactly as both are known; the client's core, the other way round. Where both are full and nobody waits, it
is "both". What others had makes a core look full that is not, and is taken off, as if both cores had it alike: on a
machine that is busy with something else no core is found full, and no sample is a figure of the server.
"""
import json
import os
import re
import subprocess
import sys
import time

FULL, ROOM = 90, 2


def limit(row):
    """Whose core was full; of a sample, or of a row of medians."""
    core0, core1 = row["core0_percent"], row["core1_percent"]
    full0, full1 = (core - row["other_percent"] >= FULL for core in (core0, core1))
    if full0 and core1 <= core0 - ROOM:
        return "server"
    if full1 and core0 <= core1 - ROOM:
        return "client"
    return "both" if full0 and full1 else "neither"


def cores():
    """[(busy, given)] of core 0 and core 1 in ticks. What the host took away (steal) is neither."""
    found = []
    with open("/proc/stat", encoding="ascii") as file:
        for line in file:
            if re.match(r"cpu[01] ", line):
                user, nice, system, idle, iowait, irq, softirq = map(int, line.split()[1:8])
                busy = user + nice + system + irq + softirq
                found.append((busy, busy + idle + iowait))
    return found


def family(pid):
    """A process and its children: nginx's worker is one."""
    pids = [pid]
    for parent in pids:
        try:
            with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as file:
                pids += map(int, file.read().split())
        except OSError:
            pass
    return pids


def run_seconds(pids):
    """Processor time of processes in seconds, as the scheduler counts it."""
    total = 0
    for member in pids:
        for thread in os.listdir(f"/proc/{member}/task"):
            with open(f"/proc/{member}/task/{thread}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
    return total / 1e9


def processor_time(known):
    """Ticks of the processes known and the kernel's threads that work on packets, and of all others.

    The latter with that of children who have ended: it moves to the parent who waited for them, so the sum loses
    nothing."""
    part, others = 0, 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                name, fields = file.read().rsplit(") ", 1)
        except OSError:
            continue
        times = list(map(int, fields.split()[11:15]))
        if int(pid) in known or name.split("(", 1)[1].startswith(("ksoftirqd/", "napi/")):
            part += sum(times[:2])
        else:
            others += sum(times)
    return part, others


def switch_packets():
    stats = json.loads(subprocess.run(["multistack", "stats", "-j"], stdout=subprocess.PIPE, check=True).stdout)
    return sum(queue[way] for nic in stats["nics"] for queue in nic.get("queues", [nic])
               for way in ("rx_packets", "tx_packets"))


def device_packets():
    with open("/proc/self/net/dev", encoding="ascii") as file:
        fields = next(line.split() for line in file if line.strip().startswith("nic0:"))
    return int(fields[2]) + int(fields[10])


def of_wrk(text):
    def number(pattern):
        return float(re.search(pattern, text).group(1))

    def latency(percentile):
        value, unit = re.search(percentile + r"%\s+([\d.]+)(us|ms|s)\b", text).groups()
        return float(value) * {"us": 1, "ms": 1000, "s": 1000000}[unit]

    errors = sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", text)))
    errors += sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", text)))
    return {"requests": number(r"(\d+) requests in"), "errors": errors,
            "requests_per_second": round(number(r"Requests/sec:\s+([\d.]+)")),
            "p50_us": latency("50"), "p99_us": latency("99")}


def of_msload(text):
    said = json.loads(text)
    return {"requests": said["requests"], "errors": said["failed"],
            "requests_per_second": round(said["requests_per_second"]),
            **{name: round(said["latency_us"][name], 1) for name in ("p50_us", "p99_us", "p999_us")}}


def main():
    keys = json.loads(sys.argv[1])
    switch, server, *helpers = ([member for pid in part.split("+") if pid != "0" for member in family(int(pid))]
                                for part in sys.argv[2].split(","))
    known = {os.getpid(), *sum(helpers, switch + server)}
    packets = switch_packets if keys["path"] == "wire" else device_packets
    before, start = processor_time(known), cores()
    with subprocess.Popen(sys.argv[3:], stdout=subprocess.PIPE, text=True) as client:
        known.add(client.pid)
        time.sleep(warm_up())
        packets0, switch0, server0 = packets(), run_seconds(switch), run_seconds(server)
        cores0 = cores()
        output = client.stdout.read()
        cores1 = cores()
        packets1, switch1, server1 = packets(), run_seconds(switch), run_seconds(server)
        # Ended, and not waited for: its time is not yet its parent's.
        part, others = (now - then for now, then in zip(processor_time(known), before))
    if keys["client"] == "wrk" and client.returncode:
        sys.exit(f"http_sample: the client's exit status is {client.returncode}")
    sample = keys | (of_wrk if keys["client"] == "wrk" else of_msload)(output)
    requests = max(sample.pop("requests"), 1)
    busy, given = ([after[i] - before[i] for before, after in zip(cores0, cores1)] for i in range(2))
    used, everything = (sum(after[i] - before[i] for before, after in zip(start, cores1)) for i in range(2))
    other = min(others, used - part)  # what they had of other cores, where there are more, is no matter
    tick = 1 / os.sysconf("SC_CLK_TCK")
    sample.update(cpu_us_per_request=round(busy[0] * tick * 1e6 / requests, 2),
                  core0_percent=round(100 * busy[0] / max(given[0], 1), 1),
                  core1_percent=round(100 * busy[1] / max(given[1], 1), 1),
                  other_percent=round(max(100 * other / max(everything, 1), 0), 1),
                  server_us_per_request=round((server1 - server0) * 1e6 / requests, 2),
                  packets_per_request=round((packets1 - packets0) / requests, 2))
    sample["limit"] = limit(sample)
    if switch:
        sample["switch_us_per_request"] = round((switch1 - switch0) * 1e6 / requests, 2)
    print(json.dumps(sample), flush=True)


def warm_up():
    """Seconds; and a little, until the client has begun."""
    return 0.03 + float(sys.argv[sys.argv.index("--warm-up") + 1]) if "--warm-up" in sys.argv else 0


if __name__ == "__main__":
    main()
