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
    # ---- verdict
    "verdict.title": ("Verdict", "结论"),
    "verdict.read": (
        "How to read it: each line compares the tuned model with one baseline on the same test rows. The dot is the "
        "measured difference in {metric}, the bar is how far chance alone could move it ({confidence} confidence). "
        "A bar wholly to the right of zero means really better; one that touches zero means the data cannot tell.",
        "读法：每一行在同一批测试数据上把调优后的模型与一个基线相比。圆点是测得的{metric}之差，横条是仅凭偶然可能偏"
        "离的范围（置信度 {confidence}）。横条整个在零的右侧，表示确实更好；碰到零，表示数据还分不出高下。",
    ),
    "verdict.axis": ("difference in {metric}, percentage points", "{metric}之差（百分点）"),
    "verdict.axis_plain": ("difference in {metric}", "{metric}之差"),
    "verdict.beyond": ("An arrow means: too far off to draw on this scale.", "箭头表示：超出了本图的刻度范围。"),
    "verdict.decides": ("decides the verdict", "结论以此为准"),
    "verdict.no_baselines": (
        "No baseline was compared, so there is no difference to draw.",
        "没有与任何基线比较，因此没有差值可画。",
    ),
    "verdict.checks": ("The checks behind the verdict", "结论所依据的检查"),
    # ---- warnings
    "warn.test_uses": (
        "The sealed test was used {n} times. Each further look makes its numbers look better than they are: confirm "
        "this result on fresh test rows before relying on it.",
        "封存的测试集已使用 {n} 次。每多看一次，数字都会比实际更好看：在依赖这一结果之前，请用新的测试数据再确认一遍。",
    ),
    "warn.ledger": (
        "The data ledger does not add up ({where}): some rows or tokens are unaccounted for, so do not trust this run.",
        "数据账本不平（{where}）：有数据行或词元下落不明，请不要相信这次运行。",
    ),
    "warn.certificate": (
        "The certificate failed: what was saved does not answer as what was evaluated. Do not serve this bundle.",
        "证书未通过：保存下来的模型与评测时的模型回答不一致。请不要上线这个模型包。",
    ),
    "warn.findings": (
        "The data checks found serious problems ({kinds}): see the findings before using the numbers.",
        "数据检查发现了严重问题（{kinds}）：使用这些数字之前，请先看“检查发现”。",
    ),
    # ---- key figures
    "key.title": ("Key figures", "关键数字"),
    "key.read": (
        "How to read it: measured on test rows that nothing in training has seen; the range beside a number is "
        "where it could lie by chance ({confidence} confidence).",
        "读法：在训练过程从未接触过的测试数据上测得；数字旁的范围是它因偶然可能落在的区间（置信度 {confidence}）。",
    ),
    "key.interval": ("{confidence} interval {ends}", "{confidence} 区间 {ends}"),
    "key.test_rows": ("test rows", "测试数据行数"),
    "key.labels": ("{n} labels", "{n} 个标签"),
    "key.test_uses": ("times the sealed test was used", "封存测试集使用次数"),
    "key.once": ("once, as it should be", "仅一次，理应如此"),
    "key.more_than_once": ("more than once: read the warning", "超过一次：请看警告"),
    "key.seconds": ("training time", "训练用时"),
    "key.coverage": ("answered; the rest is left to people", "由模型作答，其余交给人工"),
    "key.coverage_error": ("error among answers {error}", "作答部分的错误率 {error}"),
    # ---- results
    "results.title": ("Results", "结果"),
    "results.read": (
        "How to read it: every row is one way to solve the task, all judged on the same test rows. A tuned model is "
        "only worth its cost if it clearly beats the simple ones.",
        "读法：每一行是解决该任务的一种办法，都在同一批测试数据上评判。调优后的模型只有明显胜过简单办法，才值得其成"
        "本。",
    ),
    "results.model": ("model", "模型"),
    "results.tuned": ("tuned model", "调优后的模型"),
    "results.difference": ("tuned minus this, {metric}", "调优模型减去它（{metric}）"),
    "results.means": ("What the columns mean", "各列的含义"),
    # ---- ledger
    "ledger.title": ("Data ledger", "数据账本"),
    "ledger.read": (
        "How to read it: every row and token that was read must turn up again on the right-hand side. A tick means "
        "that it does.",
        "读法：读入的每一行、每一个词元都必须在等号右边重新出现。打勾表示对得上。",
    ),
    "ledger.rows": ("Rows", "数据行"),
    "ledger.tokens": ("Tokens (the pieces of words the model sees)", "词元（模型看到的词的片段）"),
    "ledger.split": ("split", "划分"),
    "ledger.read_rows": ("read", "读入"),
    "ledger.moved_in": ("+ moved in", "+ 移入"),
    "ledger.used": ("= used", "= 使用"),
    "ledger.dropped": ("+ dropped", "+ 丢弃"),
    "ledger.moved_out": ("+ moved out", "+ 移出"),
    "ledger.seen": ("read", "读入"),
    "ledger.truncated": ("+ cut off", "+ 截断"),
    "ledger.windows": ("windows", "窗口数"),
    "ledger.split_rows": ("rows split into windows", "切成多个窗口的行"),
    "ledger.adds_up": ("adds up", "对得上"),
    "ledger.off_by": ("off by {n}", "相差 {n}"),
    "ledger.reasons": ("Why rows were dropped", "丢弃数据行的原因"),
    "ledger.reason": ("reason", "原因"),
    "ledger.n": ("rows", "行数"),
    "ledger.none_dropped": ("No row was dropped.", "没有丢弃任何数据行。"),
    "ledger.where": (
        "ledger.jsonl in the run's folder names the file and line of each one.",
        "运行文件夹中的 ledger.jsonl 记下了每一行所在的文件和行号。",
    ),
    "ledger.sources": ("Files", "文件"),
    "ledger.notes": ("What was guessed while reading", "读取时所作的推断"),
    # ---- findings
    "findings.title": ("Findings in the data", "数据检查发现"),
    "findings.read": (
        "How to read it: what the automatic checks noticed, most serious first. Mending the data often gains more "
        "than tuning longer.",
        "读法：自动检查所注意到的问题，最严重的在前。修好数据往往比继续调优更有效。",
    ),
    "findings.none": ("The checks found nothing to mend.", "检查没有发现需要修正之处。"),
    "findings.count": ("{n}×", "{n} 处"),
    "findings.examples": ("Examples", "例子"),
    # ---- labels
    "labels.title": ("Labels", "标签分布"),
    "labels.read": (
        "How to read it: how many rows each label has. Labels with few rows are learned worse, and their numbers "
        "below rest on little.",
        "读法：每个标签有多少行数据。数据少的标签学得较差，下文关于它们的数字依据也少。",
    ),
    "labels.label": ("label", "标签"),
    "labels.share": ("training rows", "训练数据行"),
    "labels.extremes": (
        "{labels} labels: the {n} most frequent and the {n} rarest are shown.",
        "共 {labels} 个标签：这里列出最多的 {n} 个和最少的 {n} 个。",
    ),
    # ---- curves
    "curves.title": ("Learning curves", "学习曲线"),
    "curves.read": (
        "How to read it: loss (the model's error in training) should fall and level off; validation is measured on "
        "rows kept out of training. If validation turns for the worse while training loss still falls, the model "
        "has begun to learn by heart.",
        "读法：损失（训练中的误差）应当下降并趋平；验证指标在未参与训练的数据上测得。若训练损失仍在下降而验证变差，"
        "说明模型开始死记硬背。",
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
        "How to read it: rows are the true label, columns what the model said. The diagonal is right; a dark cell "
        "off the diagonal is a pair of labels the model mixes up.",
        "读法：行是真实标签，列是模型给出的标签。对角线上为正确；对角线外颜色深的格子，是模型容易弄混的一对标签。",
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
    "confusion.share": ("share of that label's rows", "占该标签行数"),
    "confusion.none": ("The model mixed up no labels on the test.", "模型在测试集上没有弄混任何标签。"),
    # ---- reliability
    "reliability.title": ("Can the confidence be trusted?", "置信度可信吗？"),
    "reliability.read": (
        "How to read it: of the answers given with 80% confidence, about 80% should be right, so the bars should "
        "reach the dashed diagonal. Bars below it: the model is too sure of itself; above it: too modest. Larger "
        "dots stand for more rows.",
        "读法：置信度为 80% 的回答中，应有约 80% 是对的，所以柱顶应当够到虚线对角线。低于它表示模型过于自信，高于它"
        "表示过于谨慎。圆点越大，行数越多。",
    ),
    "reliability.axis": ("confidence", "置信度"),
    "reliability.accuracy": ("share that is right", "实际正确率"),
    "reliability.bin": (
        "{n} rows with mean confidence {confidence}: {accuracy} right",
        "{n} 行，平均置信度 {confidence}：正确 {accuracy}",
    ),
    "reliability.ece": (
        "On the test, the average gap between confidence and correctness (ECE) is {ece}.",
        "在测试集上，置信度与正确率的平均差距（ECE）为 {ece}。",
    ),
    "reliability.change": (
        "Calibration ({name}), fitted on validation, brought it there from {before} to {after}.",
        "在验证集上拟合的校准（{name}）使它在那里由 {before} 变为 {after}。",
    ),
    "reliability.range": ("confidence", "置信度区间"),
    "reliability.mean": ("mean confidence", "平均置信度"),
    "reliability.table": ("The numbers behind the figure", "图中的数字"),
    # ---- classes
    "classes.title": ("Each label", "逐个标签"),
    "classes.read": (
        "How to read it: precision is how often the model is right when it says this label; recall is how many of "
        "this label's rows it finds; F1 joins both. The weakest labels come first.",
        "读法：精确率是模型给出该标签时答对的比例；召回率是该标签的数据被找出的比例；F1 综合两者。最弱的标签排在最前。",
    ),
    "classes.weakest": ("The {n} weakest of {all} labels:", "{all} 个标签中最弱的 {n} 个："),
    "classes.precision": ("precision", "精确率"),
    "classes.recall": ("recall", "召回率"),
    "classes.f1": ("F1", "F1"),
    "classes.support": ("test rows", "测试行数"),
    "classes.threshold": ("threshold", "阈值"),
    # ---- slices
    "slices.title": ("Slices of the data", "数据切片"),
    "slices.read": (
        "How to read it: {metric} on parts of the test. The line is the interval; a part whose line lies wholly "
        "left of the overall value (dashed) is served worse than the rest.",
        "读法：测试集各部分上的{metric}。线段为区间；若某部分的线段整个在总体数值（虚线）左侧，则模型对它的效果比其"
        "余更差。",
    ),
    "slices.by": ("By {column}", "按“{column}”"),
    "slices.slice": ("part", "部分"),
    # ---- decision
    "decision.title": ("When the model answers", "模型何时作答"),
    "decision.read": (
        "How to read it: an answer is given only when its score reaches the threshold; otherwise the model abstains "
        "and a person decides.",
        "读法：只有分数达到阈值时才给出答案；否则模型弃答，由人来决定。",
    ),
    "decision.always": (
        "No limit on errors was set, so the model always answers.",
        "没有设定错误率上限，因此模型总是作答。",
    ),
    "decision.accept": ("accepts from score", "接受分数下限"),
    "decision.accepted": ("answered", "作答比例"),
    "decision.error": ("error among answers", "作答部分的错误率"),
    "decision.upper": ("error at most, with 95% confidence", "错误率上界（95% 置信度）"),
    "decision.limit": ("error allowed", "允许的错误率"),
    "decision.calibration": ("calibration", "校准"),
    "decision.scale": ("scale of the logits", "logit 缩放系数"),
    "decision.never": (
        "No threshold was shown to keep errors within the limit, so the model always abstains: allow more errors, "
        "or give more validation rows.",
        "没有任何阈值能确保错误率不超出上限，因此模型一律弃答：请放宽上限，或提供更多验证数据。",
    ),
    "decision.where": ("Set and measured on the {split} rows.", "在{split}数据上设定并测得。"),
    "decision.thresholds": ("Thresholds of each label", "各标签的阈值"),
    # ---- errors
    "errors.title": ("Worst errors", "最严重的错误"),
    "errors.read": (
        "How to read it: wrong answers, those given with the most confidence first. Some will be the model's "
        "mistakes, others wrong labels in the data: both are worth mending.",
        "读法：答错的例子，置信度最高的在前。其中有些是模型的错，有些是数据标错了：都值得改正。",
    ),
    "errors.none": ("There is no error to show.", "没有错误可列。"),
    "errors.gold": ("true", "真实"),
    "errors.predicted": ("model", "模型"),
    "errors.score": ("confidence", "置信度"),
    "errors.shown": ("{n} of {all} shown; errors.csv holds them all.", "列出 {all} 个中的 {n} 个；errors.csv 含全部。"),
    "errors.nothing": ("(none)", "（无）"),
    # ---- cost
    "cost.title": ("Model and cost", "模型与成本"),
    "cost.read": (
        "How to read it: what was trained and what it took on this machine; use it to plan the next run.",
        "读法：训练了什么，在这台机器上花费多少；可据此安排下一次运行。",
    ),
    "cost.backbone": ("pretrained model", "预训练模型"),
    "cost.why": ("chosen because", "选用原因"),
    "cost.source": ("from", "来源"),
    "cost.licence": ("licence", "许可证"),
    "cost.method": ("method", "方法"),
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
        "How to read it: the saved model was opened again and its answers compared, row by row, with those that "
        "were evaluated. Every check must pass before it may be served.",
        "读法：把保存下来的模型重新打开，逐行与评测时的回答比较。每项检查都通过才可以上线。",
    ),
    "certificate.none": (
        "Nothing was compared: a model of this kind does not open with plain transformers, only with Tunewright.",
        "没有进行比较：这类模型不能直接用 transformers 打开，只能用 Tunewright 打开。",
    ),
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
        "读法：使用相同的数据、版本和配方，下面的命令会得到相同的数字。",
    ),
    "record.command": ("Command", "命令"),
    "record.recipe": ("Complete recipe, every default written out", "完整配方（含所有默认值）"),
    "record.choices": ("What “auto” chose, and why", "“auto” 的选择及理由"),
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
        "由 {base} 经 Tunewright {version} 调优得到的{task}模型。",
    ),
    "card.use": ("Intended use", "预期用途"),
    "card.use_text": (
        "It assigns {kind} of {n} labels to texts in the language it was trained on ({language}) and of the kind it "
        "was trained on. Texts of another kind, language or time should be measured first: `tunewright evaluate "
        "BUNDLE DATA`.",
        "它为与训练数据语言（{language}）相同、类型相同的文本从 {n} 个标签中选出{kind}。用于其他类型、语言或时期的文"
        "本之前，请先评测：`tunewright evaluate BUNDLE DATA`。",
    ),
    "card.one": ("one", "一个"),
    "card.several": ("any number", "任意多个"),
    "card.not_for": (
        "Do not let it decide alone where an error harms someone: use the abstention below and have a person look "
        "at the rest.",
        "凡出错会伤及他人之处，不要让它独自决定：请使用下述弃答机制，其余由人来看。",
    ),
    "card.labels": ("Labels", "标签"),
    "card.results": ("Results", "结果"),
    "card.results_text": (
        "Measured once training was over, on {n} test rows that it had not seen.",
        "训练结束后，在其从未见过的 {n} 行测试数据上测得。",
    ),
    "card.data": ("Data", "数据"),
    "card.used": ("rows used", "使用行数"),
    "card.dropped": ("rows dropped", "丢弃行数"),
    "card.limits": ("Limits", "局限"),
    "card.worst_labels": ("Weakest labels on the test", "测试集上最弱的标签"),
    "card.worst_slices": ("Weakest parts of the test", "测试集上最弱的部分"),
    "card.abstention": ("Abstention", "弃答"),
    "card.abstention_text": (
        "Below a score of {accept} it abstains. On the {split} rows it then answered {accepted}, with an error of "
        "{error} (allowed: {limit}).",
        "分数低于 {accept} 时弃答。在{split}数据上，它因此回答了 {accepted}，错误率为 {error}（允许 {limit}）。",
    ),
    "card.long": (
        "Texts longer than {n} tokens are handled as the recipe says (data.overflow: {overflow}).",
        "超过 {n} 个词元的文本按配方处理（data.overflow: {overflow}）。",
    ),
    "card.how": ("How to use it", "使用方法"),
    "card.with_transformers": (
        "With `transformers` (calibrated scores; it never abstains):",
        "使用 `transformers`（得到校准后的分数，不弃答）：",
    ),
    "card.with_tunewright": (
        "With `tunewright` (thresholds, abstention and long texts as decided above):",
        "使用 `tunewright`（按上述阈值、弃答和长文本规则）：",
    ),
    "card.made": ("How it was made", "制作过程"),
    "card.made_text": (
        "Method: {method}; parameters: {parameters}; {time} on {device}. recipe.yaml beside this file is the "
        "complete recipe; with the same data it repeats the run:",
        "方法：{method}；参数：{parameters}；在 {device} 上用时 {time}。同目录下的 recipe.yaml 是完整配方；使用相同"
        "的数据即可重复这次运行：",
    ),
    "card.licence": ("Licence of the base", "基础模型的许可证"),
    "card.licence_text": (
        "{base} ({source}) is under {licence}; the adapted weights inherit its terms. The data's licence is for its "
        "owner to state.",
        "{base}（{source}）采用 {licence} 许可证，调优后的权重沿用其条款。数据的许可证由其所有者声明。",
    ),
    "card.example": ("A text of yours", "这里填入您的文本"),
}

# Words that stand in reports as names: kind → name → (English, Chinese). A name that is not here is shown as it is.
WORDS: dict[str, dict[str, tuple[str, str]]] = {
    "metric": {
        "accuracy": ("accuracy", "准确率"),
        "macro_f1": ("macro F1", "宏平均 F1"),
        "micro_f1": ("micro F1", "微平均 F1"),
        "mcc": ("MCC", "MCC"),
        "ece": ("ECE", "ECE"),
        "loss": ("loss", "损失"),
    },
    "means": {
        "accuracy": ("share of rows answered wholly right", "完全答对的数据行所占比例"),
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
        "ece": (
            "average gap between confidence and correctness; smaller is better",
            "置信度与正确率的平均差距，越小越好",
        ),
    },
    "baseline": {
        "majority": ("guessing the most frequent label", "一律猜最常见的标签"),
        "tfidf": ("word counts (TF-IDF) + logistic regression", "词频（TF-IDF）+ 逻辑回归"),
        "linear_probe": ("untuned model + logistic regression", "未调优的模型 + 逻辑回归"),
    },
    "split": {
        "train": ("train", "训练"),
        "validation": ("validation", "验证"),
        "test": ("test", "测试"),
    },
    "severity": {
        "error": ("error", "错误"),
        "warning": ("warning", "警告"),
        "note": ("note", "提示"),
    },
    "task": {
        "text_classification": ("text classification", "文本分类"),
    },
    "slice": {
        "length": ("length of the text (tokens)", "文本长度（词元数）"),
    },
    "reason": {
        "empty_text": ("empty text", "文本为空"),
        "empty_label": ("no label", "没有标签"),
        "unknown_label": ("label that training does not have", "训练集中没有的标签"),
        "leakage": ("the text also stands in validation or test", "文本也出现在验证集或测试集中"),
        "garbled": ("garbled characters", "乱码"),
        "broken_row": ("the row cannot be parsed", "该行无法解析"),
        "limit": ("beyond the limit of rows that the recipe sets", "超出配方设定的行数上限"),
    },
    "finding": {
        "leakage": ("the same text in training and in validation or test", "训练集与验证集或测试集有相同文本"),
        "duplicates": ("exact duplicates", "完全重复"),
        "near_duplicates": ("near duplicates", "近似重复"),
        "conflicts": ("same text, different labels", "同一文本，标签不同"),
        "empty": ("empty rows", "空行"),
        "garbled": ("garbled characters", "乱码"),
        "broken_rows": ("rows that cannot be parsed", "无法解析的行"),
        "label_spelling": ("labels that differ by spelling only", "仅写法不同的标签"),
        "rare_classes": ("labels with few rows", "数据很少的标签"),
        "imbalance": ("labels of very different frequency", "标签多寡悬殊"),
        "truncation": ("texts longer than the model reads", "超出模型可读长度的文本"),
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
