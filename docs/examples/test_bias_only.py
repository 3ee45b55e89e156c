import pytest

from tunewright.testing import cases


@pytest.mark.parametrize("case", cases("methods", "bias_only"), ids=str)
def test_bias_only_keeps_its_contract(case, tmp_path):
    case.run(tmp_path)
