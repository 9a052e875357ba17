from nbkit.report.flow import write_mermaid


def test_mermaid_names_few_values_and_counts_many():
    nodes = [{"stage": "01_a", "title": 'say "a" #1'}, {"stage": "02_b", "title": "B", "note": "✕ failed"}]
    edges = [
        {"source": "01_a", "target": "02_b", "names": list("wxyz")},
        {"source": "01_a", "target": "02_b", "names": ["w_*"]},
    ]
    text = write_mermaid(nodes, edges).splitlines()
    assert text[1:] == [
        '  s01_a["say #quot;a#quot; #35;1"]',
        '  s02_b["B<br>✕ failed"]',
        '  s01_a -->|"4 values"| s02_b',
        '  s01_a -->|"w_…"| s02_b',
    ]
