"""The scalper of tradingAgent on NautilusTrader: fades stretched prices on 1-minute bars.

python nautilus_scalper.py BARS.csv     (columns ts_utc,open,high,low,close,volume)
"""
import sys
import time
from collections import deque
from decimal import Decimal

started = time.perf_counter()
import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig, StrategyConfig
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Venue
from nautilus_trader.model.objects import Money
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy


class ScalperConfig(StrategyConfig, frozen=True):
    instrument_id: InstrumentId
    bar_type: BarType


class Scalper(Strategy):
    """|z20| >= 2 and efficiency ratio 10 < 0.5: against the move; out at z = 0, after 15 bars, or at 3 ATR14."""

    def __init__(self, config):
        super().__init__(config)
        self.closes = deque(maxlen=20)
        self.atr = None
        self.last_close = None
        self.ranges = []
        self.bars = 0
        self.side = 0
        self.held = 0
        self.stop_price = 0.0
        self.trades = 0

    def on_start(self):
        self.instrument = self.cache.instrument(self.config.instrument_id)
        self.subscribe_bars(self.config.bar_type)

    def on_bar(self, bar: Bar):
        high, low, close = float(bar.high), float(bar.low), float(bar.close)
        true_range = high - low if self.last_close is None else max(high, self.last_close) - min(low, self.last_close)
        if self.atr is None:
            self.ranges.append(true_range)
            if len(self.ranges) == 14:
                self.atr = sum(self.ranges) / 14
        else:
            self.atr = (self.atr * 13 + true_range) / 14
        self.last_close = close
        self.closes.append(close)
        self.bars += 1
        if len(self.closes) < 20:
            return
        mean = sum(self.closes) / 20
        deviation = (sum((c - mean) ** 2 for c in self.closes) / 19) ** 0.5
        z = (close - mean) / deviation if deviation > 0 else 0.0
        if self.side:
            self.held += 1
            stopped = low <= self.stop_price if self.side > 0 else high >= self.stop_price
            if stopped or z * self.side >= 0 or self.held >= 15:
                self.order(-self.side)
                self.side = 0
                self.trades += 1
            return
        if self.bars <= 30 or abs(z) < 2:
            return
        recent = list(self.closes)[-11:]
        path = sum(abs(b - a) for a, b in zip(recent, recent[1:]))
        if path > 0 and abs(recent[-1] - recent[0]) / path < 0.5:
            self.side = -1 if z > 0 else 1
            self.held = 0
            self.stop_price = close - self.side * 3 * self.atr
            self.order(self.side)

    def order(self, side):
        self.submit_order(
            self.order_factory.market(
                self.config.instrument_id,
                OrderSide.BUY if side > 0 else OrderSide.SELL,
                self.instrument.make_qty(Decimal(1)),
            )
        )


def main(path):
    imported = time.perf_counter()
    frame = pd.read_csv(path, parse_dates=["ts_utc"], index_col="ts_utc")
    frame.index.name = "timestamp"
    instrument = TestInstrumentProvider.btcusdt_perp_binance()
    bar_type = BarType.from_str(f"{instrument.id}-1-MINUTE-LAST-EXTERNAL")
    bars = BarDataWrangler(bar_type, instrument).process(frame)
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        venue=Venue("BINANCE"),
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=None,
        starting_balances=[Money(1_000_000, USDT)],
    )
    engine.add_instrument(instrument)
    engine.add_data(bars)
    strategy = Scalper(ScalperConfig(instrument_id=instrument.id, bar_type=bar_type))
    engine.add_strategy(strategy)
    loaded = time.perf_counter()
    engine.run()
    ended = time.perf_counter()
    print(
        f"nautilus: {len(bars)} bars, {strategy.trades} trades; import {imported - started:.2f} s, "
        f"load {loaded - imported:.2f} s, run {ended - loaded:.2f} s, all {ended - started:.2f} s"
    )


main(sys.argv[1])
