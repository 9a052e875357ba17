"""Tables as people bring them: customers with dates and ids, house prices from a German spreadsheet, three species."""

from pathlib import Path

import numpy as np
import pandas as pd

from nbkit.data import spell_contract


def write_customers(path, n=1500, seed=0):
    random = np.random.default_rng(seed)
    days = pd.to_timedelta(np.sort(random.integers(0, 500, n)), "D")
    table = pd.DataFrame(
        {
            "Customer ID": [f"C-{i:06d}" for i in range(n)],
            "signed up": (pd.Timestamp("2022-01-03") + days).strftime("%d.%m.%Y"),
            "plan": random.choice(["basic", "plus", "pro"], n, p=[0.5, 0.3, 0.2]),
            "gender": random.choice(["f", "m", "d"], n, p=[0.48, 0.48, 0.04]),
            "monthly fee": random.gamma(4, 12, n).round(2),
            "calls": random.poisson(2, n),
            "last visit": random.exponential(30, n).round(),
            "city": random.choice(["Ulm", "Köln", "São Paulo", "<b>x</b>"], n),
            "newsletter": random.choice(["true", "false"], n),
            "country": "DE",
            "notes": None,
        }
    )
    risk = 0.6 * table["calls"] + 0.04 * table["last visit"] - (table["plan"] == "pro") - 0.02 * table["monthly fee"]
    leaves = risk + random.normal(size=n) * 0.8 > 1.6
    table["churned"] = np.where(leaves, "yes", "no")
    table["cancel reason"] = np.where(leaves, random.choice(["price", "service"], n), None)
    table.loc[random.random(n) < 0.1, "monthly fee"] = None
    table.loc[random.random(n) < 0.05, "city"] = "NA"
    table.loc[random.random(n) < 0.01, "churned"] = None
    table.to_csv(path, index=False)


def write_houses(path, n=900, seed=1):
    """Semicolons, decimal commas, thousands points, a BOM, an unnamed index, a blank and a repeated header."""
    random = np.random.default_rng(seed)
    area, rooms = random.uniform(30, 250, n), random.integers(1, 8, n)
    place = random.choice(["Nord", "Süd", "West"], n)
    price = 3000 * area + 15000 * rooms + 60000 * (place == "Süd") + random.normal(size=n) * 30000
    lines = [";Fläche;Zimmer;;Lage;Fläche;Preis"]
    for i in range(n):
        numbers = (area[i], random.normal(), random.normal(), price[i])
        a, b, c, d = (f"{x:,.2f}".translate({44: ".", 46: ","}) for x in numbers)
        lines.append(f"{i};{a};{rooms[i] if random.random() > 0.05 else ''};{b};{place[i]};{c};{d}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")


def write_species(path, n=600, seed=2):
    random = np.random.default_rng(seed)
    kinds = random.choice(["setosa", "vir ginica", "versi,color"], n, p=[0.5, 0.3, 0.2])
    code = pd.factorize(kinds, sort=True)[0]
    table = {"x": code + random.normal(size=n) * 0.7, "y": random.normal(size=n) - code / 2, "kind": kinds}
    pd.DataFrame(table).to_csv(path, index=False)


def write_contract(contract, path):
    Path(path).write_text(spell_contract(contract), encoding="utf-8")
