"""Print the table of layers, with output shapes and parameters, as Keras does.

LAYERS is a line of layers, such as 32C3-MP2-64C3-MP2-64N; for a RUN folder it is that of its network.
"""

from __future__ import annotations

import argparse

from mirante.cli.arguments import add_format, input_shape


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="LAYERS|RUN", help="a line of layers, or a run folder")
    parser.add_argument(
        "--input",
        type=input_shape,
        default=(32, 32, 3),
        metavar="HxWxC",
        help="the input shape of LAYERS (default: 32x32x3)",
    )
    parser.add_argument(
        "--num-classes", type=int, default=10, metavar="N", help="number of classes for LAYERS (default: 10)"
    )
    parser.add_argument(
        "--characters",
        type=int,
        default=0,
        metavar="N",
        help="for texts of up to N characters; the classes are then the letters",
    )
    add_format(parser)


def run(arguments: argparse.Namespace) -> None:
    from mirante.cli.tables import print_rows, print_table
    from mirante.locale import language
    from mirante.model.summary import summary

    outputs = (*([arguments.characters] if arguments.characters else []), arguments.num_classes)
    table = summary(arguments.what, arguments.input, outputs)
    if arguments.format != "table":
        rows = [
            {
                "layer": row.name,
                "type": row.kind,
                "word": row.word,
                "output": list(row.shape),
                "parameters": row.parameters,
            }
            for row in table.rows
        ]
        print_rows(rows, arguments.format, arguments.lang)
        return
    say = language(arguments.lang)
    lines = [
        [f"{row.name} ({row.kind})", row.word, f"(None, {', '.join(map(str, row.shape))})", say.number(row.parameters)]
        for row in table.rows
    ]
    title = "{}  ·  {}×{}×{}".format(table.line, *table.shape)
    print_table([say("Layer"), say("In the line"), say("Output shape"), say("Parameters")], lines, 2, title)
    print(f"{say('Total parameters')}: {say.number(table.total)}")
    print(f"{say('Trainable parameters')}: {say.number(table.trainable)}")
