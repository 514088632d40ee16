"""Records of made-up searches."""

from dsx.bench.searching.record import Found, Record

OBJECTIVES = ("accuracy", "latency_ms", "bits")


def found(name: str, test: float, bits: float, seconds: float, feasible: bool = True) -> Found:
    return Found(
        id=name,
        spec={},
        feasible=feasible,
        values={"accuracy": 0.5, "latency_ms": 7.0, "bits": bits},
        test=test,
        cpu=seconds,
        wall=2 * seconds,
    )


def record(contender: str, *designs: Found, seed: int = 0) -> Record:
    last = designs[-1]
    return Record(
        space="made up",
        contender=contender,
        seed=seed,
        found=designs,
        cpu=last.cpu + 1,
        wall=last.wall + 1,
        stages={"sampling": 0.5, "trained": 2.0},
        repeated=3,
        facts={"device": "abc"},
    )
