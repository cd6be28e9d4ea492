"""Beam's options beside our own: a misspelt one is found."""

from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.command import beam_options


def test_unknown_options() -> None:
    """A misspelt option is found, except where a launcher adds its own."""
    dataflow = ["--runner=DataflowRunner"]
    typo = "--direct_runing_mode=multi_processing"

    assert beam_options.unknown_options(PipelineOptions([typo]), [typo]) == [typo]
    assert beam_options.unknown_options(PipelineOptions(dataflow), [*dataflow, typo]) == []
