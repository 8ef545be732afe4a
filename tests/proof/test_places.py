import pytest

from proof import places
from proof.quick import tests_of

test_places = tests_of(places.PROOFS)


@pytest.mark.parametrize("name", ["a link to itself", "a read-only mount"])
def test_what_cannot_be_written_is_refused_without_ado(tmp_path, name):
    (place,) = (place for place in places.PLACES if place.name == name and not place.live)
    places.Places(tmp_path).meet(place, places.FOLD)
