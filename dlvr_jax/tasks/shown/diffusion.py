"""Pictures of a diffusion: noise that comes, noise that goes, and how much there is of it when."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, UInt8

from dlvr_jax.displays import Curves, Images
from dlvr_jax.random_key import key_of
from dlvr_jax.tasks.sampling.diffusion_process import HostTimes, Process
from dlvr_jax.tasks.shown.generated import as_bytes, as_signed, side_by_side

COLUMNS = 9  # stages of a strip

Pictures = UInt8[np.ndarray, "_ height width channels"]
Path = Float[np.ndarray, "steps count height width channels"]


def noising(process: Process, images: Pictures) -> Images:
    """Each image at times from 0 to the last, with the same noise throughout."""
    times = np.round(np.linspace(0, process.steps, COLUMNS)).astype(np.int32)
    eps = jax.random.normal(key_of(0), images.shape)
    stages = [process.noised(as_signed(jnp.asarray(images)), eps, jnp.full(len(images), time)) for time in times]
    return _strip(np.stack([np.asarray(as_bytes(stage)) for stage in stages]), f"Noising, {_listed(times)}")


def denoising(path: Path, guesses: Path, times: HostTimes) -> Images:
    """Each image on its way out of noise, above what the network takes for it at that time."""
    chosen = np.round(np.linspace(0, len(path) - 1, min(COLUMNS, len(path)))).astype(int)
    noisy, taken = (np.asarray(as_bytes(stages[chosen].reshape(-1, *path.shape[2:]))) for stages in (path, guesses))
    both = np.stack([part.reshape(len(chosen), *path.shape[1:]) for part in (noisy, taken)], 2)  # stages count kind ...
    rows = both.reshape(len(chosen), -1, *path.shape[2:])
    return _strip(rows, f"Denoising and below what it is taken for, {_listed(times[1:][chosen])}")


def denoised(images: Pictures, outputs: Mapping[str, np.ndarray], time: int) -> Images:
    """Each image, noised, and denoised in one step."""
    stages = np.stack([images, outputs["noised"], outputs["denoised"]])
    return _strip(stages, f"Images, noised to t = {time}, and denoised at once")


def signal_to_noise(process: Process) -> Curves:
    """alpha-bar / (1 - alpha-bar) in decibels, at times from 1."""
    kept = process.alpha_bars[1:]
    decibels = 10 * np.log10(kept / (1 - kept))
    times = np.arange(1, process.steps + 1, dtype=np.float64)
    return Curves(times, decibels[None], (process.schedule,), "time", "signal to noise (dB)", "Schedule")


def loss_over_time(times: Int[np.ndarray, " count"], losses: Float[np.ndarray, " count"], steps: int) -> Curves:
    """The mean loss in each of up to 20 equal stretches of time."""
    number = min(20, steps)
    stretch = (times - 1) * number // steps
    there = np.bincount(stretch, minlength=number)
    means = np.bincount(stretch, losses.astype(np.float64), number)[there > 0] / there[there > 0]
    middles = (np.arange(number)[there > 0] + 0.5) * steps / number
    return Curves(middles, means[None], ("loss",), "time", "mean square error", "Loss over time")


def _strip(stages: UInt8[np.ndarray, "stages count height width channels"], title: str) -> Images:
    """A row an image, a column a stage."""
    rows = stages.swapaxes(0, 1)
    return Images(side_by_side(rows.reshape(-1, *rows.shape[2:]), rows.shape[1]), (), title)


def _listed(times: HostTimes) -> str:
    return "t = " + ", ".join(str(time) for time in times)
