"""Running a decay phase by phase, with checkpoints that let an interrupted one go on."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from torch import nn

from explanations.errors import InputError
from explanations.files.tensors import read_tensors, write_tensors
from explanations.networks.decay import Decay
from explanations.progress import ProgressBar

FORMAT = "explanations-decay-1"


def run_decay(
    decay: Decay,
    measure: Callable[[nn.Module], float],
    checkpoint: Path,
    fingerprint: str,
    seconds: float,
) -> list[dict]:
    """Tune through all phases of a decay, from its checkpoint on if there is one that fits, and return the record.

    The record has a row for the start and for each phase: phase, training_steps taken so far, factor, accuracy of the
    network as tuned at the end of the phase, brute_force_accuracy of the untuned one at the same factor; `measure`
    gives the accuracy. A checkpoint is written after a phase if the last one is `seconds` old.
    """
    phases = decay.settings.phases()
    record = load_checkpoint(checkpoint, decay, fingerprint)
    if not record:
        usual = measure(decay.network)
        record = [_row(0, 0, 1.0, usual, usual)]
    saved = time.monotonic()
    with ProgressBar("decay", sum(steps for _, steps in phases), "step") as bar:
        bar.advance(record[-1]["training_steps"])
        for factor, steps in phases[len(record) - 1 :]:
            decay.tune(factor, steps, bar)
            last = record[-1]
            known = factor == last["factor"]
            if known:
                brute_force = last["brute_force_accuracy"]
            else:
                with decay.by_brute_force(factor) as network:
                    brute_force = measure(network)
            accuracy = measure(decay.network)
            record.append(_row(len(record), last["training_steps"] + steps, factor, accuracy, brute_force))
            if time.monotonic() - saved >= seconds:
                save_checkpoint(checkpoint, decay, fingerprint, record)
                saved = time.monotonic()
    return record


def _row(phase: int, training_steps: int, factor: float, accuracy: float, brute_force: float) -> dict:
    row = {"phase": phase, "training_steps": training_steps, "factor": factor}
    return {**row, "accuracy": accuracy, "brute_force_accuracy": brute_force}


def save_checkpoint(path: Path, decay: Decay, fingerprint: str, record: list[dict]) -> None:
    """Write the state of a decay and its record so far; `fingerprint` stands for its network, images and settings."""
    metadata = {"format": FORMAT, "fingerprint": fingerprint, "record": json.dumps(record)}
    write_tensors(path, decay.state(), metadata)


def load_checkpoint(path: Path, decay: Decay, fingerprint: str) -> list[dict]:
    """Restore a decay from its checkpoint and return the record up to there; an empty one if none fits."""
    if not path.exists():
        return []
    try:
        metadata, state = read_tensors(path, FORMAT, "starting anew")
    except InputError as error:
        print(error)
        return []
    if metadata["fingerprint"] != fingerprint:
        print(f"{path}: of another network, other images or other settings; starting anew")
        return []
    decay.restore(state)
    record = json.loads(metadata["record"])
    print(f"{path}: going on after phase {record[-1]['phase']}")
    return record
