"""Beam's options, which stand beside our own on the command line: all of them, known or not."""

import argparse
from collections.abc import Sequence

from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions

from pipeline.command.console import Parser
from pipeline.command.options import add_arguments
from pipeline.command.runners import name


class EventsiftOptions(PipelineOptions):
    """The job's own options, for Beam."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        add_arguments(parser)


def beam_parser() -> argparse.ArgumentParser:
    """Returns a parser of all options that the installed Beam knows."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for kind in PipelineOptions.__subclasses__():
        if kind is not EventsiftOptions:
            kind._add_argparse_args(parser)  # type: ignore[arg-type]
    return parser


def unknown_options(options: PipelineOptions, arguments: Sequence[str]) -> list[str]:
    """Returns the arguments that neither the installed Beam nor the job server knows.

    On Dataflow none counts as unknown, because its launcher adds arguments of its own.
    """
    if name(options) == "DataflowRunner":
        return []
    unknown = beam_parser().parse_known_args(list(arguments))[1]
    endpoint = options.view_as(PortableOptions).job_endpoint
    if not endpoint or not unknown:
        return unknown
    described = _described(endpoint)
    return [
        text
        for text in unknown
        if text.startswith("--") and text[2:].partition("=")[0] not in described
    ]


def refuse_unknown(parser: Parser, options: PipelineOptions, arguments: Sequence[str]) -> None:
    """Ends the program with a usage error if there is an argument that nobody knows.

    Args:
        parser: The command's own.
        options: The pipeline's.
        arguments: The arguments that the command's own parser does not know.
    """
    for text in unknown_options(options, arguments):
        name = text.partition("=")[0]
        if not name.startswith("-"):
            parser.error(f"{text!r} belongs to no option; see --help")
        parser.error(f"unknown option {name}; {parser.nearest(name)}")


def tell_beams_options(parser: Parser, arguments: Sequence[str]) -> None:
    """Lets a command's parser know Beam's options, unless the engine may have more options."""
    given = " ".join(arguments)
    if "job_endpoint" not in given and "dataflow" not in given.lower():
        parser.more_options = lambda: beam_parser()._option_string_actions


def _described(endpoint: str) -> set[str]:
    """Returns the names of the options that a job server knows."""
    import grpc  # type: ignore[import-untyped]
    from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

    with grpc.insecure_channel(endpoint) as channel:
        stub = beam_job_api_pb2_grpc.JobServiceStub(channel)
        answer = stub.DescribePipelineOptions(
            beam_job_api_pb2.DescribePipelineOptionsRequest(), timeout=60
        )
    return {option.name for option in answer.options}
