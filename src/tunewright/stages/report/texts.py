"""Every sentence of the report in English and Chinese, side by side, so that neither is ever the poorer one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tunewright.core.report import LANGUAGES
from tunewright.stages.report.untrusted import visible

# key → (English, Chinese). {names} are filled in by the caller.
TEXTS: dict[str, tuple[str, str]] = {
    # ---- the page
    "page.title": ("{name} – report", "{name} – 报告"),
    "page.made": ("Made by Tunewright {version} on {created}", "由 Tunewright {version} 于 {created} 生成"),
    "page.contents": ("Contents", "目录"),
    "page.self": (
        "This file is complete in itself: it opens without a network and sends nothing anywhere.",
        "本文件自成一体：无需联网即可打开，也不会向任何地方发送数据。",
    ),
    "page.colon": (": ", "："),
    "page.comma": (", ", "、"),
    "page.sort": ("Sort by this column", "按此列排序"),
    "page.more": ("… and {n} more characters", "……另有 {n} 个字符"),
    "page.show_all": ("Show all {n}", "显示全部 {n} 项"),
    "page.show_more": ("Show {n} more", "再显示 {n} 项"),
    "time.hour": ("h", "小时"),
    "time.minute": ("min", "分"),
    "time.second": ("s", "秒"),
    "total": ("total", "合计"),
    # ---- compression
    "compress.title": ("{name} – compression", "{name} – 压缩"),
    "compress.kind": ("Making a model smaller and faster", "让模型更小更快"),
    "compress.said": (
        "{kept} of {n} passes kept within the budget of {budget}: {size} MiB in place of {size_before}, {speedup} times as many "
        "rows a second, {metric} {value} in place of {value_before}.",
        "{n} 项压缩中有 {kept} 项在 {budget} 的预算之内：体积由 {size_before} MiB 降为 {size} MiB，吞吐量为原来的 {speedup} 倍，{metric} 由 "
        "{value_before} 变为 {value}。",
    ),
    "compress.found": (
        "Of {n} trials these {kept} steps reach the target at the least loss: {size} MiB in place of {size_before}, {speedup} "
        "times as many rows a second, {metric} {value} in place of {value_before}.",
        "在 {n} 次尝试中，以下 {kept} 步以最小损失达到目标：体积由 {size_before} MiB 降为 {size} MiB，吞吐量为原来的 {speedup} 倍，{metric} 由 "
        "{value_before} 变为 {value}。",
    ),
    "compress.reached": ("{name} {value} {unit}, wanted {sign} {limit}", "{name} {value} {unit}，目标 {sign} {limit}"),
    "compress.taken": ("taken", "采用"),
    "compress.passed_over": ("not taken", "未采用"),
    "compress.table": ("Everything that was tried", "全部尝试"),
    "compress.read": (
        "Each row is measured on {rows} rows through what serves it, with all that was kept before it, and compared row by "
        "row with the original. The loss counts with its whole interval: a pass stays only if its upper end lies within the "
        "budget. Times are those of this machine ({cores} cores), the original timed in turn with each, and scaled to one timing of it.",
        "每一行都通过实际提供服务的运行时在 {rows} 条数据上测得，包含此前保留的各项，并与原模型逐条比较。损失按整个置信区间计："
        "只有上端在预算之内才会保留。时间取自本机（{cores} 核），原模型与之交替计时，并换算到对原模型的同一次计时。",
    ),
    "compress.pass": ("pass", "压缩项"),
    "compress.original": ("the original", "原模型"),
    "compress.loss": ("loss, interval", "损失及区间"),
    "compress.flips": ("answers changed", "改变的答案"),
    "compress.p50": ("one row, p50 ms", "单条 p50（毫秒）"),
    "compress.p95": ("p95 ms", "p95（毫秒）"),
    "compress.bulk": ("rows/s in bulk", "批量（条/秒）"),
    "compress.times": ("times as fast", "倍速"),
    "compress.size": ("MiB on disk", "磁盘 MiB"),
    "compress.runtime": ("answered by", "运行时"),
    "compress.kept": ("kept", "保留"),
    "compress.undone": ("undone", "撤回"),
    "compress.over_latency": ("Quality over the time of one row, ms", "质量与单条用时（毫秒）"),
    "compress.over_size": ("Quality over the size on disk, MiB", "质量与磁盘体积（MiB）"),
    "compress.pictures": ("Quality against latency and size", "质量与延迟、体积"),
    "compress.pictures_read": (
        "Further to the left is faster or smaller, higher is better.",
        "越靠左越快或越小，越高越好。",
    ),
    "compress.memory": (
        "A fresh process that opens the bundle and answers takes {after} MiB at most; with the original {before} MiB.",
        "新进程打开模型包并作答，内存峰值为 {after} MiB；原模型为 {before} MiB。",
    ),
    # ---- verdict
    "verdict.title": ("Verdict", "结论"),
    "verdict.read": (
        "How to read it: each line compares the tuned model with one baseline on the same test rows. The dot is the "
        "measured difference in {metric}, the bar is how far chance alone could move it ({confidence} confidence). A "
        "bar wholly to the right of zero means really better; one that touches zero means the data cannot tell.",
        "怎么看：每一行是微调后的模型与一个基线在同一批测试数据上的比较。圆点是测得的差值（{metric}），横条是仅凭偶然"
        "可能波动的范围（{confidence} 置信区间）。横条完全在零的右侧，说明确实更好；碰到零，说明现有数据还分不出高下。",
    ),
    "verdict.axis": ("difference in {metric}, percentage points", "差值（{metric}，百分点）"),
    "verdict.axis_plain": ("difference in {metric}", "差值（{metric}）"),
    "verdict.beyond": ("An arrow means: too far off to draw on this scale.", "箭头表示超出了本图的刻度。"),
    "verdict.decides": ("decides the verdict", "结论以此为准"),
    "verdict.no_baselines": (
        "No baseline was compared, so there is no difference to draw.",
        "没有与任何基线比较，因此没有差值可画。",
    ),
    "verdict.checks": ("The checks behind the verdict", "得出结论所依据的检查"),
    # ---- warnings
    "warn.start": (
        "No training step improved on validation: what is saved is the starting point, the backbone as it was with the head "
        "that train.start gave it ({start}). Try more data, another learning rate or another method.",
        "训练中没有一步让验证结果变好：保存下来的是训练的起点，即原样的骨干模型加上 train.start（{start}）给出的输出层。"
        "可以试试增加数据、调整学习率，或换一种微调方法。",
    ),
    "warn.test_uses": (
        "The sealed test was used {n} times. Each further look makes its numbers look better than they are: confirm "
        "this result on fresh test rows before relying on it.",
        "封存的测试集已使用 {n} 次。每多看一次，数字都会比实际更好看：在依赖这一结果之前，请用新的测试数据再确认一遍。",
    ),
    "warn.ledger": (
        "The data ledger does not add up ({where}): some rows or tokens are unaccounted for, so do not trust this run.",
        "数据账本不平（{where}）：有数据或词元下落不明，这次运行的结果不可信。",
    ),
    "warn.certificate": (
        "The certificate failed: what was saved does not answer as what was evaluated. Do not serve this bundle.",
        "证书未通过：保存下来的模型与评测时的模型回答不一致。请不要上线这个模型包。",
    ),
    "warn.findings": (
        "The data checks found serious problems ({kinds}): see the findings in the report before using the numbers.",
        "数据检查发现了严重问题（{kinds}）：使用这些数字之前，请先看报告中的“数据检查发现”。",
    ),
    # ---- key figures
    "key.title": ("Key figures", "关键数字"),
    "key.read": (
        "How to read it: measured on test rows that training, tuning and selection never saw; the range below a "
        "number is where it could lie by chance ({confidence} confidence).",
        "怎么看：都在训练、调参和模型选择从未用过的测试数据上测得；数字下方是它因偶然可能落在的范围（{confidence} 置信"
        "区间）。",
    ),
    "key.interval": ("{confidence} interval {ends}", "{confidence} 置信区间 {ends}"),
    "key.test_rows": ("test rows", "条测试数据"),
    "key.labels": ("{n} labels", "{n} 个标签"),
    "key.test_uses": ("times the sealed test was used", "封存测试集使用次数"),
    "key.once": ("once, as it should be", "仅一次，理应如此"),
    "key.more_than_once": ("more than once: read the warning", "不止一次：请看警告"),
    "key.seconds": ("training time", "训练用时"),
    "key.coverage": ("answered; the rest is left to people", "由模型作答，其余交给人工"),
    "key.coverage_error": ("error among answers {error}", "作答部分的错误率 {error}"),
    # ---- results
    "results.title": ("Results", "结果"),
    "results.read": (
        "How to read it: every row is one way to solve the task, all judged on the same test rows. A tuned model is "
        "only worth its cost if it clearly beats the simple ones.",
        "怎么看：每一行是完成这项任务的一种做法，都在同一批测试数据上评判。微调后的模型只有明显胜过简单的做法，才值得"
        "为它多花成本。",
    ),
    "results.model": ("model", "模型"),
    "results.tuned": ("tuned model", "微调后的模型"),
    "results.difference": ("tuned minus this, {metric}", "微调后的模型高出（{metric}）"),
    "results.means": ("What the columns mean", "各列的含义"),
    # ---- ledger
    "ledger.title": ("Data ledger", "数据账本"),
    "ledger.read": (
        "How to read it: every row and token that was read must turn up again on the right-hand side. A tick means "
        "that it does.",
        "怎么看：读入的每一条数据、每一个词元，都必须能在等号右边找到去处。打勾表示账是平的。",
    ),
    "ledger.rows": ("Rows", "数据条数"),
    "ledger.tokens": ("Tokens (the pieces of words the model sees)", "词元（模型读到的文字片段）"),
    "ledger.split": ("split", "划分"),
    "ledger.read_rows": ("read", "读入"),
    "ledger.moved_in": ("+ moved in", "+ 移入"),
    "ledger.used": ("= used", "= 使用"),
    "ledger.dropped": ("+ dropped", "+ 丢弃"),
    "ledger.moved_out": ("+ moved out", "+ 移出"),
    "ledger.seen": ("read", "读入"),
    "ledger.truncated": ("+ cut off", "+ 截断"),
    "ledger.windows": ("windows", "窗口数"),
    "ledger.split_rows": ("rows split into windows", "切成多个窗口的数据"),
    "ledger.adds_up": ("adds up", "对得上"),
    "ledger.off_by": ("off by {n}", "相差 {n}"),
    "ledger.reasons": ("Why rows were dropped", "数据被丢弃的原因"),
    "ledger.reason": ("reason", "原因"),
    "ledger.n": ("rows", "条数"),
    "ledger.none_dropped": ("No row was dropped.", "没有丢弃任何数据。"),
    "ledger.where": (
        "ledger.jsonl in the run's folder names the file and line of each one.",
        "每一条所在的文件和行号，都记在运行目录下的 ledger.jsonl 里。",
    ),
    "ledger.sources": ("Files", "文件"),
    "ledger.notes": ("What was guessed while reading", "读取时自动判断的事项"),
    # ---- findings
    "findings.title": ("Findings in the data", "数据检查发现"),
    "findings.read": (
        "How to read it: what the automatic checks noticed, most serious first. Mending the data often gains more "
        "than tuning longer.",
        "怎么看：自动检查发现的问题，最严重的排在前面。把数据改好，往往比延长训练更有效。",
    ),
    "findings.none": ("The checks found nothing to mend.", "检查没有发现需要修正的问题。"),
    "findings.examples": ("Examples", "例子"),
    # ---- labels
    "labels.title": ("Labels", "标签分布"),
    "labels.read": (
        "How to read it: how many rows each label has. Labels with few rows are learned worse, and their numbers "
        "below rest on little.",
        "怎么看：每个标签各有多少条数据。数据少的标签学得较差，下文中它们的数字也不太可靠。",
    ),
    "labels.label": ("label", "标签"),
    "labels.share": ("training rows", "训练数据条数"),
    "labels.extremes": (
        "{labels} labels: the {n} most frequent and the {n} rarest are shown.",
        "共 {labels} 个标签：这里列出最多的 {n} 个和最少的 {n} 个。",
    ),
    # ---- curves
    "curves.title": ("Learning curves", "学习曲线"),
    "curves.read": (
        "How to read it: loss (the model's error in training) should fall and level off; validation is measured on "
        "rows kept out of training. If validation turns for the worse while training loss still falls, the model has "
        "begun to learn by heart.",
        "怎么看：损失（模型在训练中的误差）应当先降后平；验证指标是在没有参与训练的数据上测得的。如果训练损失还在下"
        "降，验证指标却变差，说明模型开始死记硬背了。",
    ),
    "curves.loss": ("Loss", "损失"),
    "curves.validation": ("Validation", "验证"),
    "curves.training_loss": ("training loss", "训练损失"),
    "curves.validation_loss": ("validation loss", "验证损失"),
    "curves.step": ("step", "步"),
    "curves.best": (
        "The dashed line marks step {step}, the best one on validation, which is the one that was kept.",
        "虚线标出第 {step} 步：验证效果最好，最终保留的就是它。",
    ),
    # ---- confusion
    "confusion.title": ("Confusions", "混淆情况"),
    "confusion.read": (
        "How to read it: rows are the true label, columns what the model said. The diagonal is right; a dark cell off "
        "the diagonal is a pair of labels the model mixes up.",
        "怎么看：每一行是一个真实标签，每一列是模型给出的标签。对角线上的是答对的；对角线外颜色深的格子，是模型容易弄"
        "混的一对标签。",
    ),
    "confusion.part": (
        "Of {labels} labels, only the {n} that are most mixed up are shown; “others” sums up the rest.",
        "共 {labels} 个标签，这里只列出最容易弄混的 {n} 个；“其余”为其他标签之和。",
    ),
    "confusion.others": ("others", "其余"),
    "confusion.gold": ("true label", "真实标签"),
    "confusion.predicted": ("model said", "模型所答"),
    "confusion.pairs": ("Most frequent mix-ups", "最常见的混淆"),
    "confusion.n": ("times", "次数"),
    "confusion.share": ("share of that label's rows", "占该标签数据的比例"),
    "confusion.none": ("The model mixed up no labels on the test.", "模型在测试集上没有弄混任何标签。"),
    # ---- reliability
    "reliability.title": ("Can the confidence be trusted?", "置信度可信吗？"),
    "reliability.read": (
        "How to read it: of the answers given with 80% confidence, about 80% should be right, so the bars should "
        "reach the dashed diagonal. Bars below it: the model is too sure of itself; above it: too modest. Larger dots "
        "stand for more rows.",
        "怎么看：置信度为 80% 的回答中，应有约 80% 是对的，所以柱顶应当够到虚线对角线。低于它说明模型过于自信，高于它"
        "说明过于谨慎。圆点越大，数据越多。",
    ),
    "reliability.axis": ("confidence", "置信度"),
    "reliability.accuracy": ("share that is right", "实际正确率"),
    "reliability.bin": (
        "Mean confidence {confidence}: {accuracy} right (rows: {n})",
        "{n} 条，平均置信度 {confidence}：正确 {accuracy}",
    ),
    "reliability.ece": (
        "On the test, the average gap between confidence and correctness (ECE) is {ece}.",
        "在测试集上，置信度与正确率的平均差距（ECE）为 {ece}。",
    ),
    "reliability.change": (
        "Calibration ({name}), fitted on validation, brought it there from {before} to {after}.",
        "校准（{name}）在验证集上拟合，把那里的差距从 {before} 降到了 {after}。",
    ),
    "reliability.no_help": (
        "Calibration ({name}), fitted on validation, did not help: there the gap went from {before} to {after}.",
        "校准（{name}）在验证集上拟合，但没有起作用：那里的差距由 {before} 变成了 {after}。",
    ),
    "reliability.range": ("confidence", "置信度区间"),
    "reliability.mean": ("mean confidence", "平均置信度"),
    "reliability.table": ("The numbers behind the figure", "图中的数字"),
    # ---- classes
    "classes.title": ("Each label", "逐个标签"),
    "classes.read": (
        "How to read it: precision is how often the model is right when it says this label; recall is how many of "
        "this label's rows it finds; F1 joins both. The weakest labels come first.",
        "怎么看：精确率是模型给出该标签时答对的比例；召回率是该标签的数据被找出的比例；F1 综合两者。最弱的标签排在最前"
        "面。",
    ),
    "classes.weakest": ("The {n} weakest of {all} labels:", "{all} 个标签中最弱的 {n} 个："),
    "classes.all": ("Labels, weakest first:", "各个标签，最弱的在前："),
    "classes.not_tested": ("not tested", "未测试"),
    "classes.untested": ("Labels without test rows, so not tested ({n})", "没有测试数据、因而未经测试的标签（{n} 个）"),
    "classes.precision": ("precision", "精确率"),
    "classes.recall": ("recall", "召回率"),
    "classes.f1": ("F1", "F1"),
    "classes.support": ("test rows", "测试条数"),
    "classes.threshold": ("threshold", "阈值"),
    # ---- slices
    "slices.title": ("Slices of the data", "数据切片"),
    "slices.read": (
        "How to read it: {metric} on parts of the test. The line is the interval; a part whose line lies wholly left "
        "of the overall value (dashed) is served worse than the rest.",
        "怎么看：测试集各个部分上的{metric}。线段是置信区间；如果某一部分的线段完全在总体数值（虚线）的左侧，说明模型"
        "在这一部分上表现更差。",
    ),
    "slices.by": ("By {column}", "按“{column}”"),
    "slices.slice": ("part", "部分"),
    # ---- decision
    "decision.title": ("When the model answers", "模型何时作答"),
    "decision.read": (
        "How to read it: an answer is given only when its score reaches the threshold; otherwise the model abstains "
        "and a person decides.",
        "怎么看：分数达到阈值，模型才给出答案；否则弃答，由人来决定。",
    ),
    "decision.always": (
        "No limit on errors was set, so the model always answers.",
        "没有设定错误率上限，因此模型总是作答。",
    ),
    "decision.accept": ("accepts from score", "作答所需的最低分数"),
    "decision.accepted": ("answered", "作答比例"),
    "decision.error": ("error among answers", "作答部分的错误率"),
    "decision.upper": ("error at most, with 95% confidence", "错误率上界（95% 置信度）"),
    "decision.limit": ("error allowed", "允许的错误率"),
    "decision.test": ("on the test", "在测试集上"),
    "decision.on_test": ("answered {accepted}, error among answers {error}", "作答 {accepted}，其中错误率 {error}"),
    "decision.parents": ("of these, a parent instead of the whole label", "其中只答到上级标签的比例"),
    "decision.calibration": ("calibration", "校准"),
    "decision.scale": ("scale of the logits", "logits 的缩放系数"),
    "decision.never": (
        "No threshold was shown to keep errors within the limit, so the model always abstains. {reason}",
        "没有任何阈值能确保错误率不超过上限，因此模型一律弃答。{reason}",
    ),
    "decision.where": ("Set and measured on the {split} rows.", "在{split}上设定并测得。"),
    "decision.thresholds": ("thresholds of the labels", "各标签的阈值"),
    "decision.range": (
        "{low} to {high}; decision.json in the bundle holds each",
        "{low} 至 {high}；每个标签的阈值见模型包中的 decision.json",
    ),
    # ---- errors
    "errors.title": ("Worst errors", "最严重的错误"),
    "errors.read": (
        "How to read it: wrong answers, those given with the most confidence first. Some will be the model's "
        "mistakes, others wrong labels in the data: both are worth mending.",
        "怎么看：答错的例子，置信度最高的排在前面。有些是模型的错，有些是数据标错了，都值得改。",
    ),
    "errors.none": ("There is no error to show.", "没有错误可列。"),
    "errors.gold": ("true", "真实"),
    "errors.predicted": ("model", "模型"),
    "errors.score": ("confidence", "置信度"),
    "errors.right": ("found", "找对"),
    "errors.missed": ("missed", "漏掉"),
    "errors.extra": ("found where none is", "多找"),
    "errors.other": ("other edges or label", "边界或类别不同"),
    "errors.shown": ("{n} of {all} shown; errors.csv holds them all.", "列出 {all} 个中的 {n} 个；errors.csv 含全部。"),
    "errors.nothing": ("(none)", "（无）"),
    # ---- cost
    "cost.title": ("Model and cost", "模型与成本"),
    "cost.read": (
        "How to read it: what was trained and what it took on this machine; use it to plan the next run.",
        "怎么看：训练了什么，在这台机器上花了多少时间和内存；可据此安排下一次运行。",
    ),
    "cost.backbone": ("backbone", "骨干模型"),
    "cost.why": ("chosen because", "选用原因"),
    "cost.source": ("from", "来源"),
    "cost.licence": ("licence", "许可证"),
    "cost.method": ("method", "方法"),
    "cost.ensemble": ("ensemble", "集成"),
    "cost.soup": (
        "the mean weights of {kept} of {n} models; {metric} on validation {value}, of each model {members}",
        "{n} 个模型中 {kept} 个的平均权重；验证集{metric} {value}，各模型 {members}",
    ),
    "cost.vote": (
        "the mean outputs of {n} models; {metric} on validation {value}, of each model {members}",
        "{n} 个模型的平均输出；验证集{metric} {value}，各模型 {members}",
    ),
    "cost.unlabelled": ("rows without labels", "未标注数据"),
    "cost.taken": (
        "{taken} of {rows} taken with the answers as their labels, at scores from {threshold}; {metric} on validation {before} before, {after} after, {kept}",
        "{rows} 条中有 {taken} 条以模型的答案作标签采用，分数不低于 {threshold}；验证集{metric}之前 {before}，之后 {after}，{kept}",
    ),
    "cost.none_taken": (
        "none of {rows} taken: no score on validation is right often enough",
        "{rows} 条中没有采用任何一条：验证集上没有足够可靠的分数",
    ),
    "cost.pairs": (
        "{pairs} of {rows} seen in training, each with a changed copy",
        "{rows} 条中有 {pairs} 条连同其改动副本用于训练",
    ),
    "cost.kept_after": ("which is kept", "采用后者"),
    "cost.kept_before": ("so the model before is kept", "因此保留之前的模型"),
    "cost.left_out": ("{value} (left out)", "{value}（未采用）"),
    "cost.parameters": ("parameters", "参数量"),
    "cost.trained": ("{trained} trained of {all} ({share})", "共 {all}，其中训练 {trained}（{share}）"),
    "cost.max_tokens": ("longest window, tokens", "最长窗口（词元）"),
    "cost.seconds": ("time", "用时"),
    "cost.speed": ("speed", "速度"),
    "cost.tokens_per_second": ("{n} tokens per second", "每秒 {n} 个词元"),
    "cost.memory": ("peak memory", "内存峰值"),
    "cost.device": ("device", "设备"),
    "cost.threads": ("{n} threads", "{n} 个线程"),
    "cost.precision": ("precision", "数值精度"),
    "cost.best_step": ("best step", "最佳步"),
    # ---- certificate
    "certificate.title": ("Certificate", "证书"),
    "certificate.read": (
        "How to read it: the saved model was opened again and its answers compared, row by row, with those that were "
        "evaluated. Every check must pass before it may be served.",
        "怎么看：把保存下来的模型重新打开，逐条与评测时的回答比较。每项检查都通过，才可以上线。",
    ),
    "certificate.none": (
        "Nothing was compared: a model of this kind does not open with plain transformers, only with Tunewright.",
        "没有进行比较：这类模型不能直接用 transformers 打开，只能用 Tunewright 打开。",
    ),
    "certificate.own": (
        "A model of this kind does not open with plain transformers, only with Tunewright.",
        "这类模型不能直接用 transformers 打开，只能用 Tunewright 打开。",
    ),
    # ---- what answers
    "runtime.title": ("What answers", "由什么作答"),
    "runtime.read": (
        "How to read it: every runtime of this machine answered {rows} validation rows. The fastest of those that lose no "
        "more than the recipe allows was taken, and the verdict above was reached with it. Times are those of this machine.",
        "怎么看：本机的每种运行方式都回答了 {rows} 条验证数据。在损失不超过配方所允许的方式中，选用最快的一种；上面的结论也由它得出。"
        "时间为本机实测。",
    ),
    "runtime.named": (
        "The recipe names it, so nothing was tried: {name}.",
        "由配方指定，没有比较：{name}。",
    ),
    "runtime.name": ("runtime", "运行方式"),
    "runtime.bulk": ("rows a second", "每秒条数"),
    "runtime.alone": ("one row, ms", "单条耗时（毫秒）"),
    "runtime.loss": ("loss of {metric}", "{metric}的损失"),
    "runtime.flips": ("other answers", "不同的回答"),
    "runtime.lacks": ("not tried: {why}", "未比较：{why}"),
    "runtime.chosen": ("chosen", "选用"),
    "certificate.passed": ("Passed", "通过"),
    "certificate.failed": ("Failed", "未通过"),
    "check.name": ("check", "检查项"),
    "check.value": ("value", "数值"),
    "check.limit": ("required", "要求"),
    "check.why": ("why", "理由"),
    "check.result": ("result", "结果"),
    # ---- record
    "record.title": ("Repeat this run", "重复这次运行"),
    "record.read": (
        "How to read it: with the same data, versions and recipe, this command gives the same numbers.",
        "怎么看：数据、版本和配方都相同时，下面的命令会得到相同的数字。",
    ),
    "record.command": ("Command", "命令"),
    "record.recipe": ("Complete recipe, every default written out", "完整配方（含所有默认值）"),
    "record.choices": ("What “auto” chose, and why", "“auto” 选了什么，为什么"),
    "record.environment": ("Machine", "机器"),
    "record.versions": ("Versions", "版本"),
    "record.python": ("Python", "Python"),
    "record.platform": ("system", "系统"),
    "record.cpu": ("processor", "处理器"),
    "record.cores": ("cores", "核心数"),
    "record.memory_gb": ("memory, GB", "内存（GB）"),
    "record.commit": ("commit", "提交"),
    # ---- model card
    "card.about": (
        "A {task} model, adapted from {base} with Tunewright {version}.",
        "用 Tunewright {version} 由 {base} 微调得到的{task}模型。",
    ),
    "card.use": ("Intended use", "预期用途"),
    "card.use_text": (
        "It assigns {kind} of {n} labels to texts in the language it was trained on ({language}) and of the kind it "
        "was trained on. Texts of another kind, language or time should be measured first: "
        "`tunewright evaluate BUNDLE DATA`.",
        "它为文本从 {n} 个标签中选出{kind}，适用于语言（{language}）和类型都与训练数据相同的文本。用于其他类型、语言或"
        "时期的文本之前，请先评测：`tunewright evaluate BUNDLE DATA`。",
    ),
    "card.use_documents": (
        "It finds, among {n} documents that it holds, those that answer a query, in the language it was trained on ({language}) "
        "and of the kind it was trained on. Its scores order documents and are no probabilities of being right. Queries of "
        "another kind, language or time should be measured first: `tunewright evaluate BUNDLE DATA`.",
        "它从自带的 {n} 篇文档中找出能回答查询的文档，适用于语言（{language}）和类型都与训练数据相同的查询。其分数只用于排序，不是"
        "正确的概率。用于其他类型、语言或时期的查询之前，请先评测：`tunewright evaluate BUNDLE DATA`。",
    ),
    "card.one": ("one", "一个"),
    "card.several": ("any number", "任意多个"),
    "card.not_for": (
        "Do not let it decide alone where an error harms someone: use the abstention below and have a person look at "
        "the rest.",
        "如果答错会伤害到人，就不要让它独自做决定：请启用下面的弃答机制，弃答的部分交给人来判断。",
    ),
    "card.labels": ("Labels", "标签"),
    "card.results": ("Results", "结果"),
    "card.results_text": (
        "Measured once training was over, on {n} test rows that it had not seen.",
        "训练结束后，在模型从未见过的 {n} 条测试数据上测得。",
    ),
    "card.data": ("Data", "数据"),
    "card.used": ("rows used", "使用条数"),
    "card.dropped": ("rows dropped", "丢弃条数"),
    "card.limits": ("Limits", "局限"),
    "card.worst_labels": ("Clearly weaker labels on the test", "测试集上明显较弱的标签"),
    "card.worst_slices": ("Clearly weaker parts of the test", "测试集上明显较弱的部分"),
    "card.abstention": ("Abstention", "弃答"),
    "card.abstention_text": (
        "Below a score of {accept} it abstains. On the {split} rows it then answered {accepted}, with an error of "
        "{error} (allowed: {limit}).",
        "分数低于 {accept} 时弃答。在{split}上，它因此回答了 {accepted} 的数据，错误率为 {error}（允许 {limit}）。",
    ),
    "card.long": (
        "Texts longer than {n} tokens are handled as the recipe says (data.overflow: {overflow}).",
        "超过 {n} 个词元的文本按配方处理（data.overflow: {overflow}）。",
    ),
    "card.how": ("How to use it", "使用方法"),
    "card.beside": (
        "Beside the text it reads {columns}. `transformers` knows the text alone: from `BUNDLE/model` it gives logits that lack "
        "the columns' part, which is their vector times `beside.safetensors`.",
        "除文本外，模型还读取 {columns}。`transformers` 只认文本：从 `BUNDLE/model` 得到的 logits 不含各列的部分，"
        "即各列的向量乘以 `beside.safetensors`。",
    ),
    "card.votes": (
        "It is {n} models, whose logits are averaged; the numbers above are those of the mean. For `transformers` each is a model "
        "of its own, in `BUNDLE/model` and in the folders `BUNDLE/members/*/model`.",
        "它由 {n} 个模型组成，其 logits 取平均，上面的数字属于这个平均值。对 `transformers` 而言，每个都是单独的模型，位于 "
        "`BUNDLE/model` 和各 `BUNDLE/members/*/model` 目录。",
    ),
    "card.with_transformers": (
        "With `transformers` (calibrated scores; it never abstains):",
        "使用 `transformers`（分数已校准，从不弃答）：",
    ),
    "card.with_tunewright": (
        "With `tunewright` (thresholds, abstention and long texts as decided above):",
        "使用 `tunewright`（按上文的阈值、弃答规则和长文本处理方式）：",
    ),
    "card.made": ("How it was made", "训练过程"),
    "card.made_text": (
        "Method: {method}; parameters: {parameters}; {time} on {device}. recipe.yaml beside this file is the complete "
        "recipe; with the same data it repeats the run:",
        "方法：{method}；参数：{parameters}；在 {device} 上用时 {time}。同目录下的 recipe.yaml 是完整配方，用相同的数"
        "据即可重复这次运行：",
    ),
    "card.with_sentence_transformers": (
        "As an encoder for an index of your own, with `sentence-transformers`:",
        "作为编码器用于自建索引（`sentence-transformers`）：",
    ),
    "card.licence": ("Licence of the backbone", "骨干模型的许可证"),
    "card.licence_text": (
        "{base} ({source}) is under {licence}; the adapted weights inherit its terms. The data's licence is for its "
        "owner to state.",
        "{base}（{source}）采用 {licence} 许可证，微调后的权重须遵守同样的条款。数据的许可证由数据的所有者说明。",
    ),
    "card.example": ("A text of yours", "在这里填入你的文本"),
    # ---- a search
    "search.title": ("{name} – search", "{name} – 搜索"),
    "search.kind": ("Search for a better recipe", "搜索更好的配方"),
    "search.said_own": (
        "No gain: of {n} trials, none was better than the recipe's own values ({metric} {value} on {rows} validation rows).",
        "没有提升：共试验 {n} 次，没有一次好于配方原来的设定（在 {rows} 条验证数据上，{metric} {value}）。",
    ),
    "search.said_alone": (
        "The best of {n} trials: {metric} {value} on {rows} validation rows. The recipe's own values could not be "
        "trained, so there is nothing to compare with.",
        "{n} 次试验中最好的一次：在 {rows} 条验证数据上，{metric} {value}。配方原来的设定未能完成训练，因此无从比较。",
    ),
    "search.said_best": (
        "The best of {n} trials: {metric} {value} on {rows} validation rows, against {own} with the recipe's own values.",
        "{n} 次试验中最好的一次：在 {rows} 条验证数据上，{metric} {value}；配方原来的设定为 {own}。",
    ),
    "search.said_sure": (
        "Without the luck of the choice, that gains {value}{unit} (95% interval {low} to {high}): more than chance.",
        "扣除挑选带来的运气，提升为 {value}{unit}（95% 置信区间 {low} 至 {high}）：不只是偶然。",
    ),
    "search.said_chance": (
        "Without the luck of the choice, that gains {value}{unit} (95% interval {low} to {high}), which may be chance.",
        "扣除挑选带来的运气，提升为 {value}{unit}（95% 置信区间 {low} 至 {high}），可能只是偶然。",
    ),
    "search.said_unknown": (
        "How much of that is luck cannot be told here; the best of many trials looks better than it is.",
        "其中多少是运气，这里无法判断；多次试验中最好的一次，看上去总比实际更好。",
    ),
    "search.points": (" points", " 个百分点"),
    "search.sealed": (
        "Every trial saw training and validation rows alone. The test split is still sealed: train best.yaml, and its "
        "verdict says what the recipe is worth.",
        "每次试验只看训练集和验证集。测试集仍然封存：请用 best.yaml 训练，由其结论来说明这份配方究竟如何。",
    ),
    "search.key": ("Key figures", "关键数字"),
    "search.key_read": (
        "How to read it: the best of many trials looks better on the rows it was chosen by than it is. So the choice is "
        "made anew on resampled validation rows, a thousand times, and judged on the rows left out. What is lost there was "
        "luck; the gain is the difference to the recipe's own values that is left, with its 95% interval (Tsamardinos et al. "
        "2018).",
        "怎么看：多次试验中最好的一次，在用来挑选它的数据上看起来总比实际更好。因此对验证数据重采样一千次，每次重新挑选，"
        "再用没有抽到的数据评判。此时失去的部分就是运气；提升是此时与配方原来设定之差，附 95% 置信区间（Tsamardinos 等，2018）。",
    ),
    "search.tile_best": ("best trial, {metric}", "最好的试验，{metric}"),
    "search.tile_own": ("the recipe's own values", "配方原来的设定"),
    "search.tile_gain": ("gain without luck", "扣除运气后的提升"),
    "search.tile_trials": ("trials", "试验次数"),
    "search.tile_seconds": ("time of all trials", "全部试验用时"),
    "search.n_pruned": ("{n} stopped early", "{n} 次提前停止"),
    "search.n_failed": ("{n} failed", "{n} 次失败"),
    "search.best_title": ("The best values", "最好的设定"),
    "search.best_read": (
        "They stand in best.yaml, a complete recipe for tunewright train.",
        "它们写在 best.yaml 中，那是一份完整的配方，可直接用于 tunewright train。",
    ),
    "search.over_title": ("Trial after trial", "逐次试验"),
    "search.over_read": (
        "How to read it: each dot is a trial's value on validation; trial 0 has the recipe's own values. The line is the "
        "best so far. A trial that stood below the median of the others at the same point was stopped early; its dot is "
        "where it stood then.",
        "怎么看：每个点是一次试验在验证集上的结果；第 0 次用的是配方原来的设定。线是截至当时的最好结果。"
        "若某次试验在同一时刻低于其他试验的中位数，就会提前停止，其点即停止时的结果。",
    ),
    "search.over_trials": ("Value on validation", "验证集上的结果"),
    "search.trial_number": ("trial", "试验"),
    "search.leading": ("best so far", "截至当时的最好结果"),
    "search.best": ("best", "最好"),
    "search.finished": ("finished", "完成"),
    "search.pruned": ("stopped early", "提前停止"),
    "search.failed": ("failed", "失败"),
    "search.mattered": ("What mattered", "哪些设定重要"),
    "search.mattered_read": (
        "How to read it: the share of each setting in deciding whether a finished trial was among the best (PED-ANOVA, "
        "Watanabe et al. 2023). The upright mark is what chance alone reaches: in 95 of a hundred shuffles of the trials' "
        "values the share stays below it. A bar that ends before its mark tells nothing.",
        "怎么看：每项设定在决定一次完成的试验能否进入最好之列时所占的份额（PED-ANOVA，Watanabe 等，2023）。竖线是仅凭偶然能达到的份额："
        "把各次试验的结果打乱一百次，其中 95 次低于此线。没有越过竖线的条，什么也说明不了。",
    ),
    "search.setting": ("setting", "设定"),
    "search.share": ("share", "份额"),
    "search.chance": ("by chance", "偶然所及"),
    "search.tells": ("what it tells", "说明什么"),
    "search.stands_out": ("it mattered", "确实重要"),
    "search.may_be_chance": ("may be chance", "可能是偶然"),
    "search.too_few": (
        "Too few trials have finished to say what mattered, or they all came to the same value.",
        "完成的试验太少，或结果全都相同，还看不出哪些设定重要。",
    ),
    "search.slices": ("Setting by setting", "逐项设定"),
    "search.slices_read": (
        "How to read it: the same dots, laid out by the value of one setting from left to right; upwards is {metric}.",
        "怎么看：同样的点，从左到右按某一项设定的取值排开；纵轴是{metric}。",
    ),
    "search.all": ("All trials", "全部试验"),
    "search.all_read": ("Also in trials.csv.", "也在 trials.csv 中。"),
    "search.state": ("state", "状态"),
    "search.seconds": ("seconds", "秒"),
}

# Words that stand in reports as names: kind → name → (English, Chinese). A name that is not here is shown as it is.
WORDS: dict[str, dict[str, tuple[str, str]]] = {
    "metric": {
        "accuracy": ("accuracy", "准确率"),
        "macro_f1": ("macro F1", "宏平均 F1"),
        "micro_f1": ("micro F1", "微平均 F1"),
        "mcc": ("MCC", "MCC"),
        "relation_f1": ("F1 of relations", "关系 F1"),
        "hierarchical_f1": ("hierarchical F1", "层级 F1"),
        **{f"level_{n}_accuracy": (f"accuracy, level {n}", f"第 {n} 层准确率") for n in range(1, 10)},
        "quadratic_weighted_kappa": ("quadratic weighted kappa", "二次加权 kappa"),
        "intent_accuracy": ("accuracy of intents", "意图准确率"),
        "mean": ("mean over the tasks", "各任务平均值"),
        "slot_f1": ("F1 of slots", "槽位 F1"),
        "triple_f1": ("F1 of triples", "三元组 F1"),
        "triple_precision": ("precision of triples", "三元组精确率"),
        "triple_recall": ("recall of triples", "三元组召回率"),
        "untyped_triple_f1": ("F1 of triples, types aside", "三元组 F1（不计实体类型）"),
        "entity_f1": ("F1 of entities", "实体 F1"),
        "spearman": ("Spearman correlation", "斯皮尔曼相关系数"),
        "pearson": ("Pearson correlation", "皮尔逊相关系数"),
        "mae": ("mean absolute error", "平均绝对误差"),
        "rmse": ("root mean squared error", "均方根误差"),
        "ece": ("ECE", "ECE"),
        "loss": ("loss", "损失"),
        "precision": ("precision", "精确率"),
        "recall": ("recall", "召回率"),
        "f1": ("F1", "F1"),
        "exact_match": ("exact match", "完全匹配率"),
        **{f"recall_at_{n}": (f"recall@{n}", f"召回率@{n}") for n in (1, 5, 10)},
        "mrr": ("MRR", "MRR"),
        "ndcg": ("nDCG", "nDCG"),
        "answerable_f1": ("F1 of rows with an answer", "有答案的数据的 F1"),
        "no_answer_accuracy": ("right where there is no answer", "无答案的数据的正确率"),
    },
    "means": {
        "accuracy": ("share of rows answered wholly right", "完全答对的数据所占的比例"),
        "macro_f1": (
            "F1 averaged over labels, so rare labels count as much as frequent ones",
            "各标签 F1 的平均，少见标签与常见标签同等重要",
        ),
        "micro_f1": (
            "F1 over all answers together, so frequent labels count more",
            "全部回答合在一起的 F1，常见标签影响更大",
        ),
        "mcc": (
            "correlation of answer and truth: 1 is perfect, 0 is guessing",
            "回答与真实标签的相关系数：1 为完美，0 等于瞎猜",
        ),
        "relation_f1": (
            "F1 averaged over types of relation; the wrong direction is wrong, and no relation is no type",
            "各类关系 F1 的平均；方向答错算错，“无关系”不算一类",
        ),
        "hierarchical_f1": (
            "F1 over all levels of the labels, so that a near miss costs less than a far one",
            "标签各层合在一起的 F1，错得近比错得远扣分少",
        ),
        **{
            f"level_{n}_accuracy": (f"share of rows right down to level {n}", f"前 {n} 层全部答对的数据所占的比例")
            for n in range(1, 10)
        },
        "quadratic_weighted_kappa": (
            "agreement beyond chance, where far misses count by the square of their steps: 1 is perfect, 0 chance",
            "超出偶然的一致程度，错得越远按级数的平方计：1 为完美，0 等于偶然",
        ),
        "intent_accuracy": ("share of rows with the right intent", "意图判断正确的数据所占的比例"),
        "mean": ("of what each task is judged by, all tasks alike", "各任务各自评判指标的平均，每个任务同等重要"),
        "slot_f1": (
            "precision and recall of slots in one number; a slot is right in place and name, or wrong",
            "槽位精确率与召回率的综合；位置和名称都对才算对",
        ),
        "triple_f1": (
            "precision and recall of triples in one number; a triple is right in its relation and in place and type of both entities, or wrong",
            "三元组精确率与召回率的综合；关系、两个实体的位置和类型都对才算对",
        ),
        "triple_precision": ("share of the triples it says that are right", "所给三元组中正确的比例"),
        "triple_recall": ("share of the true triples that it finds", "真实三元组中被找到的比例"),
        "untyped_triple_f1": (
            "the same where the types of the entities do not count",
            "同上，但实体类型不计",
        ),
        "entity_f1": (
            "precision and recall of entities in one number; an entity is right in place and type, or wrong",
            "实体精确率与召回率的综合；位置和类型都对才算对",
        ),
        "spearman": (
            "correlation of the two orders: 1 is the same order, 0 none in common",
            "两种排序的相关系数：1 为顺序完全一致，0 为毫无关系",
        ),
        "pearson": ("linear correlation of answer and truth", "回答与真实值的线性相关系数"),
        "mae": ("average distance from the true number; smaller is better", "与真实值的平均差距，越小越好"),
        "rmse": ("the same, with large errors counting more; smaller is better", "同上，大误差影响更大，越小越好"),
        "precision": ("share of what it says that is right", "所给答案中正确的比例"),
        "recall": ("share of what is true that it finds", "真实答案中被找到的比例"),
        "f1": ("precision and recall in one number", "精确率与召回率的综合"),
        "exact_match": (
            "share of answers that are a right one, but for punctuation, letter case and articles",
            "与某个正确答案相同（不计标点、大小写和英文冠词）的比例",
        ),
        **{
            f"recall_at_{n}": (
                f"share of queries with a right document among the first {n}",
                f"前 {n} 篇中有正确文档的查询所占的比例",
            )
            for n in (1, 5, 10)
        },
        "mrr": (
            "one divided by the place of the first right document, 0 behind the tenth, averaged",
            "第一篇正确文档名次的倒数（第十名之后为 0）的平均",
        ),
        "ndcg": (
            "every right document among the first ten, lower places counting less; 1 where all stand in front",
            "前十篇中每篇正确文档都计入，名次越靠后权重越小；全部排在最前时为 1",
        ),
        "answerable_f1": ("F1 where the context holds an answer", "上下文中有答案时的 F1"),
        "no_answer_accuracy": (
            "share of rows without an answer that are answered so",
            "没有答案的数据中，回答“无答案”的比例",
        ),
        "ece": (
            "average gap between confidence and correctness; smaller is better",
            "置信度与正确率的平均差距，越小越好",
        ),
    },
    "baseline": {
        "majority": ("guessing the most frequent label", "一律猜最常见的标签"),
        "tfidf": ("word counts (TF-IDF) + logistic regression", "词频（TF-IDF）+ 逻辑回归"),
        "linear_probe": ("untuned model + linear map", "未微调的模型 + 线性映射"),
        "best_sentence": ("the sentence most like the question", "与问题最相近的句子"),
        "near_words": ("rare words beside those of the question", "问题用词附近的少见词"),
        "dictionary": ("entities of the training rows, looked up", "查训练数据中的实体词典"),
        "known_pairs": ("known entities, related as most such pairs are", "查实体词典，再按同类实体对最常见的关系连接"),
        "by_parts": ("a simple baseline for each part of the task", "任务的每个部分各用一个简单基线"),
        "tfidf_cosine": ("search by shared characters (TF-IDF, cosine)", "按共有字符检索（TF-IDF 余弦）"),
        "untuned": ("search by the untuned model (cosine)", "用未微调的模型检索（余弦）"),
        "overlap": ("shared words and characters + linear map", "共有词与字符 + 线性映射"),
        "cosine": ("likeness by the untuned model (cosine) + linear map", "未微调模型的余弦相似度 + 线性映射"),
    },
    "split": {
        "train": ("train", "训练集"),
        "validation": ("validation", "验证集"),
        "test": ("test", "测试集"),
        "unlabelled": ("rows without labels", "未标注数据"),
        "augmented": ("changed copies of training rows", "训练数据的增强副本"),
        "documents": ("documents", "文档"),
    },
    "severity": {
        "error": ("error", "错误"),
        "warning": ("warning", "警告"),
        "note": ("note", "提示"),
    },
    "task": {
        "text_classification": ("text classification", "文本分类"),
        "token_classification": ("entity recognition", "实体识别"),
        "sentence_pair": ("pairs of texts", "句对任务"),
        "slot_filling": ("intents and slots", "意图与槽位"),
        "relation_extraction": ("relations of entities", "关系抽取"),
        "triples": ("entities and relations", "实体与关系联合抽取"),
        "matching": ("retrieval", "检索"),
    },
    "slice": {
        "length": ("length of the text (tokens)", "文本长度（词元数）"),
    },
    "reason": {
        "empty_text": ("empty text", "文本为空"),
        "empty_label": ("no label", "没有标签"),
        "no_match": ("a document that is no answer: searched, and not judged", "文档不是答案：参与检索，不作评判"),
        "bad_label": ("a cell that is no label of this task", "内容不是本任务的标签"),
        "bad_time": ("no time in the time column", "时间列中没有时间"),
        "leakage": ("the text also stands in validation or test", "文本也出现在验证集或测试集中"),
        "repeated": ("the text also stands in a row that is used", "文本已出现在另一条使用的数据中"),
        "garbled": ("garbled characters", "乱码"),
        "broken_row": ("the row cannot be parsed", "这一行无法解析"),
        "unchanged": ("a copy without any change", "副本没有变化"),
        "same_text": ("a copy whose text another training row or copy has", "副本与另一条训练数据或副本文本相同"),
        "limit": ("beyond the limit of rows that the recipe sets", "超出配方设定的条数上限"),
    },
    "finding": {
        "leakage": ("the same text in training and in validation or test", "训练集与验证集或测试集有相同文本"),
        "duplicates": ("exact duplicates", "完全重复"),
        "near_duplicates": ("near duplicates", "近似重复"),
        "conflicts": ("same text, different labels", "同一文本，标签不同"),
        "empty": ("rows without text or label", "文本或标签为空"),
        "garbled": ("garbled characters", "乱码"),
        "broken_rows": ("rows that cannot be parsed", "无法解析的行"),
        "label_spelling": ("labels that differ by spelling only", "仅写法不同的标签"),
        "label_errors": ("labels that may be wrong", "可能标错的标签"),
        "rare_classes": ("labels with few rows", "数据很少的标签"),
        "imbalance": ("labels of very different frequency", "类别不均衡"),
        "truncation": ("texts longer than the window", "超过窗口长度的文本"),
        "span_edges": ("spans that begin or end inside a token or word", "边界落在词元或单词内部的片段"),
        "language": ("a language the model does not know", "模型不懂的语言"),
    },
}

Translator = Callable[..., str]
Namer = Callable[[str, Any], str]


def translator(language: str) -> Translator:
    """A function `t(key, **values)` that says a text in `language`; user's words among the values are made visible."""
    index = LANGUAGES.index(language)

    def t(key: str, **values: Any) -> str:
        return TEXTS[key][index].format(**{name: visible(value) for name, value in values.items()})

    return t


def namer(language: str) -> Namer:
    """A function `word(kind, name)` that says a name of `kind` in `language`, or the name itself when it is unknown."""
    index = LANGUAGES.index(language)

    def word(kind: str, name: Any) -> str:
        known = WORDS.get(kind, {}).get(str(name))
        return known[index] if known else visible(name)

    return word
