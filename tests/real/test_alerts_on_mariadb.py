"""The alerts' tests, once more on MariaDB."""


import pytest

from tests.alert_suite import *  # noqa: F403

pytestmark = pytest.mark.real
