"""The long half of tradingAgent's scalper on freqtrade, which sells nothing short in spot mode.

python freqtrade_scalper.py BARS.csv     (columns ts_utc,open,high,low,close,volume)

Freqtrade asks an exchange for its markets before it does anything. There is none here, so the one market it needs is
put in its place; everything else is freqtrade's own backtesting.
"""
import logging
import sys
import tempfile
import time
from pathlib import Path

started = time.perf_counter()
import pandas as pd
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType, RunMode
from freqtrade.exchange import Exchange
from freqtrade.optimize.backtesting import Backtesting

PAIR = "BTC/USDT"
MARKET = {
    "id": "BTCUSDT", "symbol": PAIR, "base": "BTC", "quote": "USDT", "active": True, "spot": True, "swap": False,
    "future": False, "margin": False, "type": "spot", "linear": None, "contract": False, "contractSize": None,
    "precision": {"price": 0.5, "amount": 0.001, "base": 8, "quote": 8},
    "limits": {"amount": {"min": 0.001, "max": 9000.0}, "price": {"min": 0.5, "max": 1e6}, "cost": {"min": 1.0, "max": 9e6},
               "leverage": {"min": None, "max": None}},
    "taker": 0.0, "maker": 0.0, "info": {},
}
STRATEGY = '''
import numpy as np
import pandas as pd
from freqtrade.strategy import IStrategy

class Scalper(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "1m"
    can_short = False
    minimal_roi = {"0": 100}
    stoploss = -0.02
    startup_candle_count = 30
    process_only_new_candles = True
    use_exit_signal = True

    def populate_indicators(self, df, metadata):
        mean, deviation = df["close"].rolling(20).mean(), df["close"].rolling(20).std()
        df["z"] = (df["close"] - mean) / deviation.replace(0, np.nan)
        path = df["close"].diff().abs().rolling(10).sum()
        df["er"] = (df["close"] - df["close"].shift(10)).abs() / path.replace(0, np.nan)
        return df

    def populate_entry_trend(self, df, metadata):
        df.loc[(df["z"] <= -2) & (df["er"] < 0.5), "enter_long"] = 1
        return df

    def populate_exit_trend(self, df, metadata):
        df.loc[df["z"] >= 0, "exit_long"] = 1
        return df

    def custom_exit(self, pair, trade, current_time, current_rate, current_profit, **kwargs):
        return "time" if (current_time - trade.open_date_utc).total_seconds() >= 15 * 60 else None
'''


def offline(self, *args, **kwargs):
    self._markets = {PAIR: MARKET}
    self._api.set_markets({PAIR: MARKET})
    self._api_async.set_markets({PAIR: MARKET})


def main(path):
    logging.disable(logging.CRITICAL)
    imported = time.perf_counter()
    folder = Path(tempfile.mkdtemp())
    (folder / "strategies").mkdir()
    (folder / "strategies" / "scalper.py").write_text(STRATEGY)
    data = folder / "data" / "binance"
    data.mkdir(parents=True)
    frame = pd.read_csv(path)
    frame = frame.rename(columns={"ts_utc": "date"})
    frame["date"] = pd.to_datetime(frame["date"], utc=True)
    get_datahandler(data, "feather").ohlcv_store(PAIR, "1m", frame, CandleType.SPOT)
    Exchange.reload_markets = offline
    Exchange.validate_config = lambda self, config: None
    Exchange.get_fee = lambda self, *args, **kwargs: 0.0
    Exchange.additional_exchange_init = lambda self: None
    own = {
        "exchange": {"name": "binance", "key": "", "secret": "", "pair_whitelist": [PAIR], "pair_blacklist": []},
        "pairlists": [{"method": "StaticPairList"}], "stake_currency": "USDT", "stake_amount": 50_000, "dry_run_wallet": 1_000_000,
        "max_open_trades": 1, "timeframe": "1m", "dry_run": True, "trading_mode": "spot", "margin_mode": "", "fee": 0.0,
        "entry_pricing": {"price_side": "same", "use_order_book": False},
        "exit_pricing": {"price_side": "same", "use_order_book": False},
        "export": "none", "exportfilename": folder / "result.json", "user_data_dir": folder, "datadir": data,
        "strategy": "Scalper", "strategy_path": str(folder / "strategies"), "dataformat_ohlcv": "feather",
        "candle_type_def": CandleType.SPOT, "runmode": RunMode.BACKTEST, "backtest_cache": "none", "internals": {},
        "original_config": {}, "config_files": [], "bot_name": "bench", "stoploss": -0.02, "dataformat_trades": "feather",
    }
    backtesting = Backtesting(own)
    loaded = time.perf_counter()
    backtesting.start()
    ended = time.perf_counter()
    result = next(iter(backtesting.all_bt_content.values()))["results"]
    print(
        f"freqtrade: {len(frame)} bars, {len(result)} trades; import {imported - started:.2f} s, "
        f"load {loaded - imported:.2f} s, run {ended - loaded:.2f} s, all {ended - started:.2f} s"
    )


main(sys.argv[1])
