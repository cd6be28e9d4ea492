"""What the Flex Template's launcher runs: builds the job's graph and hands it to Dataflow."""

import sys

from pipeline.command.job import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
