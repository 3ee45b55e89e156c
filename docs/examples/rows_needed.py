apart = 0.08  # share of rows on which exactly one of the two models is right
for gain in (0.05, 0.03, 0.02, 0.01):
    rows = 4 * apart / gain**2
    print(f"a gain of {gain:.0%}: about {rows:,.0f} test rows")
