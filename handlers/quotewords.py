"""The words by which mail programs mark what is not new, in the languages of our writers.

English, French, German, Spanish, Portuguese, Italian, Dutch, the Nordic languages,
Polish, Czech, Russian, Turkish, Chinese, Japanese and Korean. Every pattern is bounded,
so that no line takes long. Neighbour: handlers/quoting.py.
"""
# ruff: noqa: RUF001 (the letters of other languages look like Latin ones)

from __future__ import annotations

import re

# How a line begins that introduces a quote, and what it says:
# "On Monday, 3 May 2026 at 10:12, Ada wrote:".
ATTRIBUTIONS = (
    ("on ", ("wrote", "writes")),
    ("le ", ("a écrit", "a ecrit")),
    ("am ", ("schrieb",)),
    ("el ", ("escribió", "escribio")),
    ("em ", ("escreveu",)),
    ("a ", ("escreveu",)),
    ("il ", ("ha scritto", "a écrit")),
    ("in data ", ("ha scritto",)),
    ("op ", ("schreef",)),
    ("den ", ("skrev", "schrieb")),
    ("på ", ("skrev",)),
    ("dnia ", ("napisał",)),
    ("w dniu ", ("napisał", "pisze")),
    ("dne ", ("napsal",)),
    ("", ("kirjoitti", "пишет", "писал", "yazdı", "写道", "寫道", "書きました", "작성")),
)
VERBS = tuple(sorted({verb for _, verbs in ATTRIBUTIONS for verb in verbs}))
EAST_ASIAN_DATE = re.compile(r"\d{1,4}[年년]\s?\d{1,2}[月월]\s?\d{1,2}[日일]")
NUMERIC_DATE = re.compile(r"\d{4}[-/.]\d\d?[-/.]\d\d?[ T]")

ORIGINAL = re.compile(
    r"""[-_*\s]{2,20}
        (?: original\ message | original\ appointment | message\ d['’]origine | message\ original
          | ursprüngliche\ nachricht | original-?nachricht | mensaje\ original
          | mensagem\ original | messaggio\ originale | oorspronkelijk\ bericht
          | ursprungligt\ meddelande | oprindelig\ meddelelse | opprinnelig\ melding
          | alkuperäinen\ viesti | wiadomość\ oryginalna | původní\ zpráva
          | исходное\ сообщение | özgün\ ileti | 原始邮件 | 原始郵件 | 元のメッセージ
          | 원본\ 메시지 )
        [-_*\s]{2,20}""",
    re.IGNORECASE | re.VERBOSE,
)
FORWARDED = re.compile(
    r"""[-_>*\s]{0,20}
        (?: begin\ forwarded\ message | forwarded\ message | message\ transf[ée]r[ée]
          | message\ transmis | début\ du\ message | weitergeleitete\ nachricht
          | anfang\ der\ weitergeleiteten | mensaje\ reenviado | mensagem\ encaminhada
          | messaggio\ inoltrato | inizio\ messaggio\ inoltrato | doorgestuurd\ bericht
          | begin\ doorgestuurd\ bericht | vidarebefordrat\ meddelande
          | videresendt\ melding | videresendt\ meddelelse | wiadomość\ przekazana
          | пересылаемое\ сообщение | пересланное\ сообщение | iletilen\ mesaj
          | 转发的?邮件 | 转发的?消息 | 転送されたメッセージ | 전달된\ 메[일시] )""",
    re.IGNORECASE | re.VERBOSE,
)
REPLY_SUBJECT = re.compile(
    r"\s{0,9}(?:re|aw|antw|sv|vs|odp|rif|ref|rés?p|ynt|回复|答复|回覆|返信|회신)"
    r"(?:\[\d{1,3}\]|\(\d{1,3}\))?\s{0,9}[:：]",
    re.IGNORECASE,
)
FORWARD_SUBJECT = re.compile(
    r"(?:\s{0,9}(?:re|aw|sv|rv)\s{0,9}:){0,3}"
    r"\s{0,9}(?:fwd?|wg|tr|rv|enc|vb|doorst|pd|ilt|转发|轉寄|転送|전달)\s{0,9}[:：]",
    re.IGNORECASE,
)
SENDER_FIELD = re.compile(
    r"""[*_\s]{0,4}
        (?: from | de | von | da | van | från | fra | lähettäjä | od | от | kimden
          | 发件人 | 寄件者 | 差出人 | 보낸\ ?사람 )
        [*_\s]{0,4}[:：]""",
    re.IGNORECASE | re.VERBOSE,
)
OTHER_FIELD = re.compile(
    r"""[*_\s]{0,4}
        (?: sent | date | to | cc | subject | envoyé | à | objet | copie | gesendet | datum | an
          | betreff | enviado(?:\ el)? | fecha | para | asunto | enviada(?:\ em)? | data
          | assunto | inviato | a | oggetto | verzonden | aan | onderwerp | skickat | till
          | ämne | sendt | til | emne | lähetetty | vastaanottaja | aihe | wysłano | do | temat
          | odesláno | komu | předmět | отправлено | дата | кому | тема | gönderildi | tarih
          | kime | konu | 发送时间 | 日期 | 收件人 | 主题 | 主旨 | 送信日時 | 日時 | 宛先 | 件名
          | 보낸\ ?날짜 | 날짜 | 받는\ ?사람 | 제목 )
        [*_\s]{0,4}[:：]""",
    re.IGNORECASE | re.VERBOSE,
)
# The line a telephone adds; a sentence that begins like it goes on, or stops.
DEVICE = re.compile(
    r"""(?: (?: sent | envoyé | gesendet | enviado | inviato | verzonden | verstuurd | skickat
              | sendt | lähetetty | wysłane | wysłano | odesláno | отправлено | 发自我的 )
            [^.!?,;:]{0,30} \b
            (?: i?phone | ipad | android | blackberry | galaxy | samsung | huawei | xiaomi
              | outlook | yahoo | gmail | proton\ ?mail | mobile | smartphone | handy
              | téléphone | móvil )
            [^.!?,;:]{0,30}
          | (?: von\ meinem | diese\ nachricht\ wurde\ von\ meinem ) [^.!?,;:]{0,60} gesendet
          | (?: get | obtenir | télécharger | hol ) [^.!?,;:]{0,20} outlook [^.!?,;:]{0,30}
          | [^.!?,;:。]{1,30} から送信 )
        (?: \s? <https?://\S{1,200}> )? [.]?""",
    re.IGNORECASE | re.VERBOSE,
)
ANSWERS_BELOW = re.compile(
    r"below|in-?line|in (?:red|blue|green|bold)|ci-dessous|ci-après|plus bas"
    r"|en (?:rouge|bleu|vert|gras)|dans le (?:texte|corps)|unten|im text|in (?:rot|blau|grün)"
    r"|más abajo|abaixo|qui sotto|hieronder|nedan|nedenfor|poniżej|níže|ниже|下記|以下|아래",
    re.IGNORECASE,
)
