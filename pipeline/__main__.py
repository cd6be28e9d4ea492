"""``python -m pipeline --input PATTERN… --output DIR``: runs the job, as ``eventsift run`` does.

Imports that take time stand in the block below: worker processes import this module, too.
"""

if __name__ == "__main__":
    from pipeline import signals

    signals.install("eventsift", "Nothing was published; the table is as it was.")

    from pipeline import start
    from pipeline.command import console

    console.run(start.run_job)
