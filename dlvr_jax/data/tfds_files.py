"""The one place that meets TFDS: writing and reading its array_record files, without TensorFlow and without network.

TFDS imports TensorFlow and Beam only where it needs them (its lazy imports); nothing here makes it do so. Importing it
costs most of a second, so that is done inside the functions.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Int

from dlvr_jax.data.paths import user_path
from dlvr_jax.data.progress import counted
from dlvr_jax.data.sources import Arrays, Feature, Spec
from dlvr_jax.errors import UserError


def tfds() -> ModuleType:
    """TFDS, silent, and with its cloud bucket switched off: offline each look-up hangs for a minute."""
    import tensorflow_datasets
    from tensorflow_datasets.core.utils import gcs_utils

    gcs_utils._is_gcs_disabled = True
    tensorflow_datasets.disable_progress_bar()
    return tensorflow_datasets


def write_records(folder: Path, spec: Spec, variant: str, version: str, splits: Mapping[str, Arrays]) -> None:
    """Fills `folder` as TFDS would fill name/variant/version, with the examples in the order of the arrays."""
    library = tfds()
    features = {
        name: library.features.Tensor(shape=feature.shape, dtype=np.dtype(feature.dtype), encoding=_encoding(feature))
        for name, feature in spec.features.items()
    }

    class ArraysBuilder(library.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg, name-defined]
        name = spec.name
        VERSION = library.core.Version(version)
        BUILDER_CONFIGS = (library.core.BuilderConfig(name=variant, version=version),)

        def _info(self) -> Any:
            return library.core.DatasetInfo(
                builder=self, features=library.features.FeaturesDict(features), disable_shuffling=True
            )

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            return {split: self._generate_examples(split) for split in splits}

        def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
            arrays = splits[split]
            for index in counted(f"preparing {spec.name}, {split}", len(next(iter(arrays.values())))):
                yield index, {name: array[index] for name, array in arrays.items()}

    scratch = folder / "scratch"
    no_statistics = library.download.DownloadConfig(compute_stats=library.download.ComputeStatsMode.SKIP)
    with redirect_stdout(StringIO()):  # TFDS announces the folder that is going to be renamed
        builder = ArraysBuilder(data_dir=str(scratch), file_format="array_record")
        try:
            builder.download_and_prepare(download_config=no_statistics)
        except RuntimeError as error:  # how array_record says that a file could not be written
            raise OSError(_first_line(error)) from error
    for file in Path(builder.data_dir).iterdir():
        file.rename(folder / file.name)
    shutil.rmtree(scratch)


@dataclass(frozen=True)
class TfdsRecords:
    """A split that `write_records` wrote, read at random."""

    data_source: Any
    features: Mapping[str, Feature]

    def __len__(self) -> int:
        return len(self.data_source)

    def read(self, indices: Int[np.ndarray, " count"]) -> Arrays:
        """See `sources.Records.read`."""
        examples = self.data_source.__getitems__([int(index) for index in indices])
        return {
            name: np.stack([np.asarray(example[name], feature.dtype) for example in examples])
            for name, feature in self.features.items()
        }


def open_records(folder: Path, split: str, features: Mapping[str, Feature]) -> TfdsRecords:
    """Opens one split of what `write_records` wrote."""
    try:
        data_source = tfds().builder_from_directory(str(folder)).as_data_source(split=split)
    except Exception as error:  # TFDS has no error class of its own for a damaged folder
        raise UserError(f"{folder} cannot be read ({_first_line(error)}); remove it to prepare it again") from error
    return TfdsRecords(data_source, features)


def find_prepared(name: str, data_dir: str | None) -> Any:
    """The TFDS builder of a set that was prepared in `data_dir` (None: TFDS' own) as array_record files."""
    library = tfds()
    from tensorflow_datasets.core.read_only_builder import builder_from_files

    where = {} if data_dir is None else {"data_dir": str(user_path(data_dir))}
    way = f"prepare it where TensorFlow is installed: tfds build {name} --file_format=array_record"
    way += f" --data_dir={data_dir}" if data_dir else ""
    try:
        builder = builder_from_files(name, **where)
    except Exception as error:  # not found, or found and damaged: TFDS raises much
        raise UserError(f"TFDS set {name!r} is not prepared ({_first_line(error)}); {way}") from error
    if builder.info.file_format != library.core.FileFormat.ARRAY_RECORD:
        raise UserError(f"TFDS set {name!r} is prepared as {builder.info.file_format.value} files; {way}")
    return builder


def open_split(builder: Any, split: str, *, encoded: str) -> Any:
    """The examples of a split at random; the feature `encoded` stays as its bytes (PNG, JPEG)."""
    return builder.as_data_source(split=split, decoders={encoded: tfds().decode.SkipDecoding()})


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _encoding(feature: Feature) -> str:
    """Numbers go as numbers, arrays as their bytes: a third of the time of TFDS' default, a list of integers."""
    return "bytes" if feature.shape else "none"
