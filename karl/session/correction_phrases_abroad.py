"""What people say when they correct an agent, in other languages: phrases by what they tell.

German, French, Spanish, Portuguese, Russian, Chinese and Japanese: short lists of what hardly means
anything else, written as in `karl.session.correction_phrases`. What needs no language (interruptions,
refusals, the same request again) is found in every one.
"""

from __future__ import annotations

WITH_SPACES: dict[str, str] = {
    "refusal": """
        ^ nein|falsch / ^ non|nan ,|.|! / ^ no ,|. asi|eso|esto|lo|es|esta|quiero|era|isso|isto|quero
        ^ nao ,|.|!|e|era|quero|foi|faca / ^ нет|неверно|неправильно|стоп
    """,
    "prohibition": """
        ^ mach|macht das nicht|nicht / ^ nicht so|das|die|den|in
        ^ ne fais|touche|change|modifie|supprime pas / ^ no hagas|toques|cambies|borres|modifiques|uses
        ^ nao faca|mexa|altere|mude|use|apague / ^ не делай|трогай|меняй|надо|удаляй|нужно
    """,
    "replacement": """
        ^ stattdessen|lieber / ^ plutot|utilise plutot / ^ mejor usa|en vez / ^ em vez / ^ лучше
    """,
    "meant_otherwise": """
        das meinte|meine ich nicht / ich meinte|meine / das war nicht / je voulais dire
        ce nest pas ce que / cest pas ce que / no es lo que / me referia|refiero / nao foi|era isso|o
        nao e isso|o que / я имел в виду / не то что|,
    """,
    "wrong_place": """
        falsche|falschen|falscher datei|ort|stelle|branch|verzeichnis / mauvais fichier|endroit
        archivo|arquivo equivocado|incorrecto|errado / не тот|там
    """,
    "says_wrong": """
        stimmt nicht / das ist falsch / cest faux / nest pas correct|vrai|juste
        esta mal|equivocado|incorrecto / no es correcto|cierto|verdad / esta errado|incorreto
        это не так|верно
    """,
    "why_you": """
        warum hast|machst / pourquoi tu|as|avez / por que has|hiciste|estas|voce / почему ты|вы
    """,
    "doubt": """
        bist du sicher / sicher ? / tu es sur / es-tu sur / estas seguro / tem certeza / ты уверен
        точно ?
    """,
    "still_fails": """
        geht|funktioniert|klappt ?immer ?noch nicht / immer noch / ne marche|fonctionne ?toujours pas
        marche toujours pas / sigue sin|fallando|igual / todavia no / no funciona|anda|sirve / ainda nao
        nao funciona|funcionou / continua falhando|dando / все|всё еще|равно
        не работает|работают|помогло|компилируется|собирается
    """,
    "fails": """
        ist kaputt / est casse / esta roto|quebrado / сломалось|сломал|сломался
    """,
    "left_out": """
        du hast|hattest ?aber * vergessen / tu as oublie / te falto|olvidaste / voce esqueceu
        ты забыл|пропустил
    """,
    "too_much": """
        zu viel|kompliziert / trop complique|long / demasiado / muito complicado / слишком
    """,
    "taken_back": """
        mach das ruckgangig / ruckgangig / annule|reviens ca|en|tes / deshaz|revierte|reviertelo
        desfaz|reverta|desfaca / откати|верни|отмени
    """,
    "anger": """
        verdammt|scheisse / putain|merde / joder|mierda / porra|merda / блин|черт|блять|сколько можно
    """,
    "again": """
        ^ nochmal|nochmals / ^ encore|recommence|reessaie / ^ otra vez|intentalo|intenta de|otra
        ^ de novo / ^ tente novamente|de / ^ еще раз / ^ попробуй|повтори еще|снова
    """,
    "approval": """
        ^ ja|genau|super|danke|passt|gut / ^ oui|merci|parfait|super|bien
        ^ si|vale|gracias|perfecto|bien / ^ sim|obrigado|perfeito|otimo
        ^ да|спасибо|отлично|хорошо|супер
    """,
    "go_on": """
        ^ weiter / ^ continua|sigue|adelante|continue|segue $|.|,|!|con|com|asi
        ^ продолжи|продолжай|дальше|закончи
    """,
}

#: Substrings of languages that put no spaces between words.
WITHOUT_SPACES: dict[str, tuple[str, ...]] = {
    "refusal": (
        "不对",
        "不是这样",
        "不要这样",
        "停下",
        "停止",
        "住手",
        "等等，",
        "违う",
        "違う",
        "ちがう",
        "やめて",
        "止めて",
    ),
    "prohibition": (
        "不要再",
        "不要改",
        "别改",
        "别动",
        "请不要",
        "しないで",
        "しないでください",
        "触らないで",
    ),
    "meant_otherwise": (
        "我的意思是",
        "我是说",
        "我说的是",
        "不是我要的",
        "我没让你",
        "私が言ったのは",
        "そうじゃなくて",
        "そうではなく",
    ),
    "says_wrong": (
        "错了",
        "不正确",
        "有误",
        "間違って",
        "間違い",
        "正しくない",
        "まちがって",
    ),
    "why_you": (
        "为什么要",
        "为什么你",
        "你为什么",
        "为什么没",
        "なぜあなた",
        "なんで",
        "どうしてこう",
    ),
    "doubt": (
        "你确定",
        "确定吗",
        "真的吗",
        "本当に",
        "確認した",
        "测试过",
        "テストした",
    ),
    "still_fails": (
        "还是不行",
        "还是不",
        "仍然",
        "依然",
        "还是报错",
        "没有效果",
        "没用",
        "まだ動",
        "まだエラー",
        "直っていない",
        "直ってない",
        "変わらない",
    ),
    "fails": (
        "报错",
        "不工作",
        "失败了",
        "出错",
        "坏了",
        "动かない",
        "動かない",
        "動きません",
        "エラーが出",
        "壊れ",
        "失敗し",
    ),
    "left_out": (
        "你忘了",
        "你漏了",
        "漏掉",
        "没有完成",
        "忘れて",
        "抜けて",
        "足りない",
    ),
    "too_much": (
        "太复杂",
        "太长",
        "多余",
        "没必要",
        "没有必要",
        "複雑すぎ",
        "長すぎ",
        "余計",
        "不要です",
    ),
    "taken_back": (
        "撤销",
        "回退",
        "还原",
        "恢复原",
        "改回",
        "元に戻",
        "戻して",
        "取り消",
    ),
    "again": (
        "再试一次",
        "重新来",
        "重做",
        "再来一次",
        "もう一度",
        "やり直",
    ),
    "replacement": (
        "而不是",
        "换成",
        "改用",
        "代わりに",
        "ではなく",
    ),
    "anger": (
        "搞什么",
        "什么鬼",
        "他妈",
        "垃圾",
        "ふざけ",
        "いい加減",
    ),
    "approval": (
        "可以",
        "好的",
        "谢谢",
        "没问题",
        "很好",
        "はい",
        "ありがとう",
        "大丈夫",
        "いいね",
        "問題ありません",
    ),
    "go_on": (
        "继续",
        "続けて",
        "次へ",
        "進めて",
    ),
    "own_slip": (
        "我说错了",
        "抱歉，",
        "私の間違い",
    ),
}
