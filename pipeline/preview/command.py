"""``plan``: with the options of the job, what it would do."""

from collections.abc import Sequence

from pipeline.command import console, job, options, report_file, runners
from pipeline.errors import EventsiftError
from pipeline.input.sources import NoMatchError
from pipeline.preview import look, text
from pipeline.preview.facts import Preview
from pipeline.run import new_run_id

_DESCRIPTION = (
    "Tell what a run with these options would do, without doing it. Nothing is written except"
    " the file of --report-json."
)


def main(arguments: Sequence[str]) -> int:
    """Prints what a run would do.

    Returns:
        0; 1 if the run could not begin, 2 for a usage error, 3 if it would publish nothing because
        of what is in the input.
    """
    parser = options.parser("plan", "pipeline.preview", _DESCRIPTION)
    try:
        wanted = job.asked(parser, arguments)
        found = _look(wanted)
    except (EventsiftError, OSError) as error:
        console.say(f"eventsift: {error}", error=True)
        return console.FAILED
    if target := wanted.own.report_json:
        report_file.write(target, found)
    if target != report_file.STDOUT:
        console.say(text.text(found))
    stopped = any(trouble.stops for trouble in found.troubles)
    return console.REJECTED if stopped else console.DONE


def _look(wanted: job.Job) -> Preview:
    """Returns what a job would do.

    Raises:
        EventsiftError: It could not begin.
        OSError: A store cannot be listed.
    """
    here = runners.name(wanted.beam) == runners.LOCAL
    try:
        return look.look(wanted.as_run(new_run_id()), wanted.workers or int(here))
    except NoMatchError as error:
        raise NoMatchError(f"{error}{wanted.hints(error)}") from error
