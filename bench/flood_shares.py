# SPDX-License-Identifier: BSD-2-Clause
"""From the samples of one round of bench/flood: what each contender keeps under an attack, a line of JSON for each.

  kept_percent           of what the same server served right before, beside a flood of the same rate that it did not
                         see: the attack takes its part of the client's core in any case, and nobody can keep more
  of_unattacked_percent  of what the same contender serves without an attack
  times_unprotected      of what the same attack leaves it without any protection; none where that is nothing

A sample of another name than those counted, or of no requests at all, has no share."""
import json
import sys


def main():
    samples = [json.loads(line) for line in sys.stdin]
    served = {(sample["contender"], sample["attack"], sample["protection"]): sample["requests_per_second"]
              for sample in samples}
    beside = 0
    for sample in samples:
        contender, attack, protection = (sample[key] for key in ("contender", "attack", "protection"))
        if attack.startswith("beside"):
            beside = sample["requests_per_second"]
        if attack == "none" or attack.startswith("beside"):
            continue
        # An attack that protection is there against was made without it as well; of the listed it is with cookies.
        bare = (contender, attack, "stack" if attack.startswith("listed") else "none")
        shares = {}
        for name, other, percent in (("kept_percent", beside, 100),
                                     ("of_unattacked_percent", served.get((contender, "none", "none")), 100),
                                     ("times_unprotected", served.get(bare), 1)):
            if other and (percent == 100 or (contender, attack, protection) != bare):
                shares[name] = round(sample["requests_per_second"] / other * percent, 1)
        print(json.dumps({"contender": contender, "attack": attack, "protection": protection, **shares}))


main()
