"""Remeasured: a space whose numbers are taken in another way than its file says."""

import dataclasses
from typing import Any

from dsx.conv import set_mode
from dsx.errors import DsxError, parameter
from dsx.space.network.model import check_alone
from dsx.space.space import SearchSpace
from dsx.space.yaml.schema import Measure


def remeasured(space: SearchSpace, **settings: Any) -> SearchSpace:
    """Give a space with another `measure`, in which nothing else differs.

    Args:
        space: The space.
        **settings: Keys of `measure` with values that it allows; None leaves what the file says.

    Returns:
        The space.

    Raises:
        DsxError: If the network cannot take a single image.
    """
    given = {key: value for key, value in settings.items() if value is not None}
    measure = Measure.model_validate({**space.file.measure.model_dump(), **given})
    if measure.batch == 1 and space.file.measure.batch > 1:
        network = set_mode(space.network(fresh=True), False)
        try:
            check_alone(network, space.data.image_shape)
        except DsxError as error:
            raise DsxError(f"{parameter('batch')}: 1: {error}") from error
    file = space.file.model_copy(update={"measure": measure})
    return dataclasses.replace(space, file=file)
