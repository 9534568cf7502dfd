# SPDX-License-Identifier: BSD-2-Clause
"""The pictures of the HTTP benchmarks: bars with their spread, by what was offered, or latency by load.

A bar is full where the server's core was the limit (http_sample.py), pale where it was not: such a bar says what the
client, or the way there, can do, and the server may be faster. NAME is of the placement with RPS, in which the server
side has one core to itself (http_lab.sh), and of the wire; what was measured without RPS has a picture of its own,
NAME-without-rps, or is NAME where there is nothing else."""
import contextlib
import os
import subprocess

COLOURS = {"utcp": "#c03028", "kernel": "#3060a8", "kernel-notso": "#90b0e0", "nginx": "#308840",
           "nginx-notso": "#98d0a0", "utcp-notso": "#e0a098"}
NAMES = {"utcp": "mshttpd on UTCP", "kernel": "mshttpd on the kernel", "kernel-notso": "mshttpd, kernel, no TSO",
         "nginx": "nginx", "nginx-notso": "nginx, no TSO",
         "utcp-notso": "mshttpd on UTCP, no TSO"}
PATHS = {"veth": "over veth", "wire": "over a wire in shared memory, no kernel"}
WITH, WITHOUT = "with RPS: each core receives for its own side", "without RPS: who sends receives for the other"


def by_placement(path, rows):
    """[(path of a picture, its rows, the placement in words)]."""
    without = [row for row in rows if row["path"] == "veth" and not row["rps"]]
    shown = [row for row in rows if row not in without]
    if not any(row["rps"] for row in shown):
        pictures = [(path, rows, WITHOUT)]
    else:
        pictures = [(path, shown, WITH), (path + "-without-rps", without, WITHOUT)]
    pictures = [picture for picture in pictures if picture[1]]
    if len(pictures) == 1:  # one of an earlier run would not belong to these results
        for suffix in (".svg", ".png"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path + "-without-rps" + suffix)
    return pictures


def grouped(number):
    return f"{number:,.0f}"


def panel(rows, title, key, label):
    """A panel of bars, a group for each value of `key`, a bar for each contender; (commands, blocks of data)."""
    contenders = [name for name in COLOURS if any(row["contender"] == name for row in rows)]
    places = sorted({row[key] for row in rows})
    width = 0.8 / len(contenders)
    plots, blocks, labels = [], [], []
    for at, name in enumerate(contenders):
        for full in (True, False):
            block = []
            for row in rows:
                if row["contender"] != name or (row["limit"] == "server") != full:
                    continue
                x = places.index(row[key]) + (at - (len(contenders) - 1) / 2) * width
                block.append(f'{x} {row["requests_per_second"]} {row["min"]} {row["max"]}')
                labels.append(f'set label "{grouped(row["requests_per_second"])}" at {x},{row["max"]} '
                              'rotate by 90 left offset 0,0.4 font ",8"')
            if full or block:
                plots.append(f'"-" using 1:2:({width}) with boxes lc rgb "{COLOURS[name]}" '
                             f'fill solid {0.9 if full else 0.25} '
                             + (f'title "{NAMES[name]}"' if full else "notitle"))
                blocks.append("\n".join(block or ["NaN NaN NaN NaN"]) + "\ne")
            if block:
                plots.append('"-" using 1:2:3:4 with yerrorbars lc black pt 7 ps 0.2 notitle')
                blocks.append("\n".join(block) + "\ne")
    ticks = ", ".join(f'"{label(place)}" {at}' for at, place in enumerate(places))
    most = max(row["max"] for row in rows)
    return ["unset label", f'set title "{title}"', f"set xtics ({ticks})",
            f"set xrange [-0.6:{len(places) - 0.4}]", f"set yrange [0:{most * 1.35}]", *labels,
            "plot " + ", ".join(plots)] + blocks


def paint(path, title, panels, xlabel, width=620):
    script = [f'set terminal svg size {width * len(panels)},560 background "white"', f'set output "{path}.svg"',
              f'set multiplot layout 1,{len(panels)} title "{title}\\n'
              '{/*0.8 full bars: the server\'s core was the limit; pale ones: it was not}"',
              f'set xlabel "{xlabel}"', 'set ylabel "requests/s"', "set grid ytics", 'set format y "%\'.0f"',
              "set key outside bottom center horizontal"]
    for commands in panels:
        script += commands
    finish(path, script + ["unset multiplot"])


def finish(path, script):
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)
    subprocess.run(["rsvg-convert", "-o", f"{path}.png", f"{path}.svg"], check=True)


def panels_of(rows, key, label):
    found = []
    for way, client in dict.fromkeys((row["path"], row["client"]) for row in rows):
        chosen = [row for row in rows if (row["path"], row["client"]) == (way, client)]
        found.append(panel(chosen, f"{PATHS[way]}, client: {client}", key, label))
    return found


def paint_placements(path, rows, title, key, label, xlabel):
    for picture, chosen, placement in by_placement(path, rows):
        paint(picture, f"{title}\\n{{/*0.8 {placement}}}", panels_of(chosen, key, label), xlabel)


def draw_sizes(path, rows):
    kept = "connections kept" if rows[0]["keep_alive"] else "one connection per request"
    paint_placements(path, rows, f"HTTP server held to one core, {kept}", "size",
                     lambda size: f"{size // 1024} KB", "response")


def draw_connections(path, rows):
    paint_placements(path, rows, "HTTP server held to one core: 1 KB by that many kept connections",
                     "connections", grouped, "connections at the same time")


def draw_processes(path, rows):
    paint_placements(path, rows, "One core, one NIC: that many mshttpd, each with a stack and a port of its own; "
                     "1 KB, kept", "processes", str, "processes")


def draw_load(path, rows):
    for picture, chosen, placement in by_placement(path, rows):
        paint_load(picture, chosen, placement)


def paint_load(path, rows, placement):
    """Latency against what was offered, as long as it was served."""
    served = [row for row in rows if row["requests_per_second"] >= 0.9 * row["offered_per_second"]]
    script = ['set terminal svg size 1500,520 background "white"', f'set output "{path}.svg"',
              'set multiplot layout 1,3 title "Latency against offered load (open loop): 1 KB, one connection per '
              'request, server held to one core, over veth\\n'
              f'{{/*0.8 {placement}}}"',
              'set xlabel "requests/s offered; a line ends where less than 90 % was served"',
              'set ylabel "microseconds"', "set logscale y", "set grid", 'set format x "%\'.0f"',
              "set xtics rotate by -30", "set key top left", "set rmargin 8", "set xrange [0:*]"]
    most = max(row["p999_us"] for row in served) * 1.5
    least = min(row["p50_us"] for row in served) / 1.5
    for metric, title in (("p50_us", "half are faster"), ("p99_us", "99 % are faster"),
                          ("p999_us", "99.9 % are faster")):
        plots, blocks = [], []
        for name in COLOURS:
            points = sorted((row["offered_per_second"], row[metric]) for row in served if row["contender"] == name)
            if points:
                plots.append(f'"-" using 1:2 with linespoints lw 2 pt 7 ps 0.5 lc rgb "{COLOURS[name]}" '
                             f'title "{NAMES[name]}"')
                blocks.append("\n".join(f"{x} {y}" for x, y in points) + "\ne")
        script += [f'set title "{title}"', f"set yrange [{least}:{most}]", "plot " + ", ".join(plots)] + blocks
    finish(path, script + ["unset multiplot"])
