# SPDX-License-Identifier: BSD-2-Clause
"""From the samples of one round of bench/flood: what each contender keeps under an attack, a line of JSON for each.

  kept_percent           of what its own contender serves beside a flood of the same rate that no server sees: the
                         attack takes its part of the client's core in any case, and nobody can keep more
  of_unattacked_percent  of what the same contender serves without an attack
  times_unprotected      of what the same attack leaves it without any protection; none where that is nothing

A sample of another name than those counted, or of no requests at all, has no share."""
import json
import sys


def rate_of(attack):
    return attack.rpartition("-")[2]


def main():
    samples = [json.loads(line) for line in sys.stdin]
    served = {(sample["contender"], sample["attack"], sample["protection"]): sample["requests_per_second"]
              for sample in samples}
    for sample in samples:
        contender, attack, protection = (sample[key] for key in ("contender", "attack", "protection"))
        if attack == "none" or attack.startswith("beside"):
            continue
        shares = {}
        # An attack that protection is there against was made without it as well; of the listed it is with cookies.
        bare = "stack" if attack.startswith("listed") else "none"
        for name, other, percent in (
                ("kept_percent", (contender, "beside-" + rate_of(attack), "none"), 100),
                ("of_unattacked_percent", (contender, "none", "none"), 100),
                ("times_unprotected", (contender, attack, bare), 1)):
            if served.get(other) and (contender, attack, protection) != other:
                shares[name] = round(sample["requests_per_second"] / served[other] * percent, 1)
        print(json.dumps({"contender": contender, "attack": attack, "protection": protection, **shares}))


main()
