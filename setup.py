"""Packaging of eventsift; also what Beam's ``--setup_file`` ships to remote workers.

The ranges below say what the code is compatible with. requirements.txt pins the one
set that is tested, on every Python from 3.10 to 3.13.
"""

from setuptools import find_packages, setup

BEAM = "apache-beam{extra}==2.77.*"  # its internals (coders, filesystems) change between minors

setup(
    name="eventsift",
    version="0.1.0",
    description="Deduplicates JSON event files into a partitioned Delta table, with Apache Beam",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["pipeline", "pipeline.*", "generator", "generator.*"]),
    install_requires=[
        BEAM.format(extra=""),
        "deltalake>=1.6.6,<1.7",  # for its low-level commit calls; 1.6.3 has no RemoveAction
        "faker>=37,<41",  # only the generator needs it
        "msgspec>=0.20,<0.23",
        "numpy>=2.1,<2.5",  # what pyarrow hands its columns over as; <2.5 is Beam's limit
        "pyarrow>=21,<26",  # <26 is Beam's limit
        "xxhash>=3.5,<5",
        "zstandard>=0.23,<1",
    ],
    extras_require={
        "gcp": [BEAM.format(extra="[gcp]")],
        "aws": [BEAM.format(extra="[aws]")],
        "hdfs": ["hdfs>=2.7,<3"],  # Beam's client for WebHDFS
        "test": [
            "duckdb>=1.4,<3",
            "hypothesis>=6.150,<7",
            "import-linter>=2,<3",
            "mypy==2.4.*",  # a newer minor may find more; that must not break a build
            "pandas>=2.3,<4",
            "polars>=2,<3",
            "pytest>=9,<10",
            "pytest-xdist>=3.8,<4",  # the whole suite on all cores
            "ruff==0.17.*",  # the formatter's style changes between minors
        ],
    },
)
