"""`proxyrules collect`: what a cluster's administrator runs to collect dumps without SSH."""

from __future__ import annotations

import click

from compiler.cli.help import Command, Section, option
from compiler.cli.options import flag, output_option
from compiler.cli.output import write_output

# Those of `compiler.collection.writing`, which a test compares them with.
IMAGE, NAMESPACE = "ghcr.io/flannel-io/flannel:v0.26.7", "kube-system"
METRICS, BACKENDS = "127.0.0.1:10249", ("auto", "nft", "legacy")


@click.command(
    "collect",
    cls=Command,
    examples=[
        "proxyrules collect --script -o collect.sh && sh collect.sh dumps/",
        "proxyrules collect --debug -o debug.sh && sh debug.sh dumps/ worker-1",
        "proxyrules collect | kubectl apply -f -",
    ],
)
@flag("--script", text="Print a shell script that applies the manifest, collects, and deletes it.")
@flag("--debug", text="Print a shell script that collects by kubectl debug, without a DaemonSet.")
@option(
    "--image", metavar="IMAGE", default=IMAGE, help=f"The image of the Pods; {IMAGE} by default."
)
@option(
    "--namespace",
    metavar="NAME",
    default=NAMESPACE,
    help=f"The namespace of the Pods; {NAMESPACE} by default.",
)
@option(
    "--backend",
    type=click.Choice(BACKENDS),
    default=BACKENDS[0],
    help="The backends whose tables are read; auto: those that have any. nft needs no NET_RAW.",
)
@option(
    "--metrics-address",
    metavar="HOST:PORT",
    default=METRICS,
    section=Section.OWN,
    help=f"Where kube-proxy serves metrics on nodes; {METRICS} by default.",
)
@output_option("Where to write it.")
def collect_command(
    *,
    script: bool,
    debug: bool,
    image: str,
    namespace: str,
    backend: str,
    metrics_address: str,
    output: str | None,
) -> None:
    """Print a manifest or script that collects the rules and metrics of all nodes.

    By default the manifest of a DaemonSet with few rights. The scripts write DIR/NODE.save and
    DIR/NODE.metrics, which verify reads. Nothing on the nodes is changed.
    """
    from compiler.collection.writing import Collection

    if script and debug:
        raise click.UsageError("--script and --debug can't be combined")
    collection = Collection(
        image=image, namespace=namespace, backend=backend, metrics_address=metrics_address
    )
    if script:
        text = collection.script
    elif debug:
        text = collection.debug_script
    else:
        text = collection.manifest
    write_output([text], output)
