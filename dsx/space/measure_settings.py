"""Search spaces with other measurement settings than those of their file."""

import dataclasses
from typing import Any

from dsx.conv import set_mode
from dsx.errors import DsxError, parameter
from dsx.space.network.model import check_single_image
from dsx.space.space import SearchSpace
from dsx.space.yaml.schema import Measure


def with_measure_settings(space: SearchSpace, **settings: Any) -> SearchSpace:
    """Return a copy of a space with other settings of `measure`.

    Args:
        space: Search space.
        **settings: Valid values by key of `measure`; None keeps the value of the file.

    Returns:
        The new search space.

    Raises:
        DsxError: If the batch is 1 and the network does not run on a single image.
    """
    given = {key: value for key, value in settings.items() if value is not None}
    measure = Measure.model_validate({**space.file.measure.model_dump(), **given})
    if measure.batch == 1 and space.file.measure.batch > 1:
        network = set_mode(space.network(fresh=True), False)
        try:
            check_single_image(network, space.data.image_shape)
        except DsxError as error:
            raise DsxError(f"{parameter('batch')}: 1: {error}") from error
    file = space.file.model_copy(update={"measure": measure})
    return dataclasses.replace(space, file=file)
