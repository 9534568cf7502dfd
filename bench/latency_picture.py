# SPDX-License-Identifier: BSD-2-Clause
"""The picture of bench/switch_latency: percentiles of a round trip, a group of bars for each way of waiting."""
import subprocess

BARS = [("p50_us", "half are faster (bar: least and greatest of the runs)"), ("p99_us", "99 %"), ("p999_us", "99.9 %")]


def draw(path, rows):
    """Writes path.svg and path.png."""
    script = ['set terminal svg size 900,500 background "white"', f'set output "{path}.svg"',
              'set title "Round trip of a packet of 64 bytes: port, switch, wire, switch, port"',
              'set ylabel "microseconds"', "set logscale y", "set yrange [0.5:*]", "set grid ytics",
              "set style fill solid 0.8 border -1", "set key outside bottom center horizontal",
              "set style histogram errorbars gap 2 lw 1", "set style data histograms",
              f"set xrange [-0.6:{len(rows) - 0.4}]"]
    plots, blocks, labels = [], [], []
    for at, (metric, title) in enumerate(BARS):
        plots.append(f'"-" using 2:3:4:xtic(1) title "{title}"')
        block = []
        for place, row in enumerate(rows):
            least, most = (row["min"], row["max"]) if metric == "p50_us" else (row[metric], row[metric])
            block.append(f'"{row["mode"]}, {row["placement"]}" {row[metric]} {least} {most}')
            labels.append(f'set label "{row[metric]:.3g}" at {place + (at - 1) * 0.2},{row[metric]} '
                          "center offset 0,0.8")
        blocks.append("\n".join(block) + "\ne")
    script += labels + ["plot " + ", ".join(plots)] + blocks
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)
    subprocess.run(["rsvg-convert", "-o", f"{path}.png", f"{path}.svg"], check=True)
