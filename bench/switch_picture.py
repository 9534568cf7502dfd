# SPDX-License-Identifier: BSD-2-Clause
"""The picture of bench/switch: as Figure 4 of the paper, packets per second against packet size, one panel for
each direction, with what lines of 10, 25, 40 and 100 Gbit/s carry."""
import subprocess

LINES = [10, 25, 40, 100]  # Gbit/s
OVERHEAD = 20  # bytes of preamble and gap around a frame


def contenders(rows, direction):
    """Title -> {size: row}, in the order in which they are drawn."""
    found = {}
    for row in rows:
        if row["contender"] == "forward_cost":
            continue  # of the namespace: no frames over a wire
        if row["contender"] == "memif":
            title = "memif, bare hop"
        elif row["direction"] != direction:
            continue
        elif row["contender"] == "hop":
            title = "1 port, one hop"
        elif row["idle_ports"]:
            title = f"1 port, {row['idle_ports']} idle"
        else:
            title = f"{row['ports']} port" + ("s" if row["ports"] > 1 else "")
        found.setdefault(title, {})[row["size"]] = row
    return found


def draw(path, rows):
    """Writes path.svg and path.png."""
    sizes = sorted({row["size"] for row in rows})
    script = ['set terminal svg size 1100,520 background "white"', f'set output "{path}.svg"',
              'set multiplot layout 1,2 title "One worker on one core; generator and counter on another"',
              'set xlabel "frame size, bytes"', "set grid ytics", "set logscale y",
              "set yrange [0.1:200]", "set style fill solid 0.8 border -1", "set key outside bottom center horizontal",
              "set style histogram errorbars gap 2 lw 1", "set style data histograms",
              f"set xrange [-0.6:{len(sizes) - 0.4}]", 'set ylabel "million packets/s"']
    for direction, title in (("tx", "Tx: ports to wire"), ("rx", "Rx: wire to ports")):
        found = contenders(rows, direction)
        plots, blocks = [], []
        for name, by_size in found.items():
            plots.append(f'"-" using 2:3:4:xtic(1) title "{name}"')
            block = []
            for size in sizes:
                row = by_size.get(size)
                block.append(f'"{size}" {row["packets_per_second"] / 1e6} {row["min"] / 1e6} '
                             f'{row["max"] / 1e6}' if row else f'"{size}" NaN NaN NaN')
            blocks.append("\n".join(block) + "\ne")
        for rate in LINES:
            plots.append(f'"-" using 1:2 with lines lw 2 dashtype 2 title "{rate} Gbit/s"')
            blocks.append("\n".join(
                f"{at + side} {rate * 1e3 / 8 / (size + OVERHEAD)}"
                for at, size in enumerate(sizes) for side in (-0.5, 0.5)) + "\ne")
        script += [f'set title "{title}"', "plot " + ", ".join(plots)] + blocks
    script.append("unset multiplot")
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)
    subprocess.run(["rsvg-convert", "-o", f"{path}.png", f"{path}.svg"], check=True)
