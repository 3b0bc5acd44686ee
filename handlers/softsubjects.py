"""Subjects that programs give their mail, in the languages of our writers.

Each pattern stands at the subject's beginning: behind "Re:" or "Fwd:" a person writes about
such a mail. Every pattern is bounded. Neighbour: handlers/softsigns.py.
"""
# ruff: noqa: RUF001 (the letters of other languages look like Latin ones)

from __future__ import annotations

import re

from smtpd import robotmarks
from smtpd.category import Category

_FLAGS = re.IGNORECASE | re.VERBOSE

_BOUNCE = re.compile(
    r"""\s{0,9}
    (?: undeliver(?:able|ed)\b | mail\ (?:delivery|system)\ (?:fail|status|system|error)
      | delivery\ status\b
      | delivery\ (?:failure|has\ failed|notification|report) | returned\ mail\b | failure\ notice
      | (?:mail|message)\ could\ not\ be\ delivered | (?:message|mail)\ undeliverable
      | failed\ delivery | non\ remis | non[\ -]remise | échec\ de\ (?:la\ )?(?:remise|livraison)
      | unzustellbar | nicht\ zustellbar | no\ se\ puede\ entregar | no\ entregado
      | non\ recapitabile
      | mancato\ recapito | não\ entreg | onbestelbaar | niet-bezorgbaar | niedostarczaln
      | kan\ inte\ levereras | kan\ ikke\ leveres | ei\ voi\ toimittaa | nedoručiteln
      | не\ удаётся\ доставить | недоставленн | teslim\ edilemedi | 配信不能 | 送信エラー | 无法投递
      | 無法傳遞 | 退信 | 배달\ 불가 )""",
    _FLAGS,
)
_CALENDAR = re.compile(
    r"""\s{0,9}
    (?: (?:updated\ )? (?:invitation|invite) | accepted | declined | tentative(?:ly\ accepted)?
      | cancell?ed(?:\ event)? | new\ time\ proposed | accepté | refusé | provisoire | annulé[e]?
      | invitation\ (?:modifiée|mise\ à\ jour) | zugesagt | angenommen | abgelehnt
      | mit\ vorbehalt | abgesagt | einladung | aceptad[oa] | rechazad[oa] | provisional
      | cancelad[oa] | invitación | accettat[oa] | rifiutat[oa] | provvisori[oa] | annullat[oa]
      | invito | aceite | aceito | recusad[oa] | convite | geaccepteerd | geweigerd
      | onder\ voorbehoud | geannuleerd | uitnodiging | zaakceptowano | odrzucono
      | wstępnie | odwołan[eo] | zaproszenie | accepterat | avböjt | preliminärt | inställt
      | inbjudan | accepteret | godtatt | afvist | avslått | aflyst | avlyst | invitation
      | invitasjon | hyväksytty | hylätty | peruutettu | kutsu | přijato | odmítnuto | zrušeno
      | pozvánka | принято | отклонено | отменено | приглашение | kabul\ edildi | reddedildi
      | iptal\ edildi | davet | 承諾 | 辞退 | 招待 | 已接受 | 已拒绝 | 邀请 | 수락 | 거절 | 초대 )
    \s?[:：]""",
    _FLAGS,
)
_VERIFICATION = re.compile(
    r"""\s{0,9} (?:\[[^\]]{1,40}\]\s?)?
    (?: (?:your|the)\ (?:[^?]{1,40}\ )?(?:verification|security|login|sign-in|access|one-time)\ code
      | [\d-]{4,9}\ is\ your\b | (?:please\ )?(?:verify|confirm|activate)\ your\b
      | (?:your\ )?(?:order|booking|payment|shipping|purchase|registration)\ confirmation
      | (?:your\ )?(?:payment|purchase)\ receipt
      | (?:your\ )?(?:receipt|invoice)\ (?:from|for|\#|no)
      | your\ (?:order|invoice|receipt|payment)\b
      | thank\ you\ for\ your\ (?:order|purchase|payment) | password\ reset | reset\ your\ password
      | votre\ code\b | code\ de\ (?:vérification|confirmation|sécurité) | confirmez\ votre
      | confirmation\ de\ (?:votre\ )?(?:commande|inscription|paiement)
      | votre\ (?:commande|facture)\b
      | ihr\ (?:[^?]{1,30}[\ -])?code\b | (?:bestätigungs|verifizierungs|sicherheits|einmal)code
      | bestätigen\ sie | bestellbestätigung | auftragsbestätigung | ihre\ (?:bestellung|rechnung)\b
      | (?:tu|su)\ código | código\ de\ (?:verificación|seguridad|verificação|segurança)
      | confirm[ae]\ (?:tu|su) | confirmación\ de | (?:tu|su)\ (?:pedido|factura)\b
      | (?:il\ tuo\ )?codice\ di | conferma\ (?:d[i'e]|il|la) | seu\ (?:código|pedido)\b
      | (?:je|uw)\ (?:verificatiecode|bestelling|factuur)\b | bevestig\ (?:je|uw)
      | bestelbevestiging
      | kod\ weryfikacyjny | potwierdzenie\ (?:zamówienia|rejestracji) | potwierdź
      | (?:din|ditt)\ (?:verifieringskod|kod|order|ordre|bestilling|faktura)\b | orderbekräftelse
      | ordrebekr[æe] | tilausvahvistus | vahvistuskoodi | ověřovací\ kód | potvrzení\ objednávky
      | код\ подтверждения | проверочный\ код | подтвердите | ваш\ (?:код|заказ)\b
      | doğrulama\ kodu | siparişiniz | 認証コード | 確認コード | ご注文 | 验证码 | 驗證碼 | 订单
      | 인증번호
      | 주문\ ?확인 )""",
    _FLAGS,
)
_TICKET = re.compile(
    r"""\s{0,9}
    (?: [\[(] [^\])\d]{0,30} \#? \s? [A-Z]{0,6}-? \d{3,20} [\])]
      | (?:support\ )?
        (?: ticket | case | request | incident | demande | anfrage | vorgang | caso | richiesta
          | zgłoszenie | ärende | sag | sak | pyyntö | požadavek | заявка | обращение | talep )
        \s? (?:id\s?)?
        [\[(#:№]{1,2} \s? [A-Z]{0,6}-? \d{3,20} )""",
    _FLAGS,
)
_PROGRAM = re.compile(
    r"\s{0,9}(?:cron <|\[?(?:alert|critical|warning|resolved|firing|problem|recovery)[\]:]"
    r"|(?:security|login|sign-in) alert\b|new (?:sign-in|login|device)\b)",
    re.IGNORECASE,
)

# Behind these words a note of absence ends, repeats our subject, or says how long.
_AWAY_ENDS = re.compile(
    r"""[^\W\d]{0,12}
    (?: \s (?:du\ |de\ (?:la\ |mon\ )?|d[oa]\ |dall['’]|från\ |fra\ |w\ )?
        (?: office | bureau | büro | oficina | ufficio | escritório | kantoor
          | kontoret | biur\S{1,3} | toimistolta | ofis\S{0,4} | tempor\S{1,6}
          | automati\S{1,6} | 办公室 ) )?
    \s{0,9}
    (?: $ | [-–:：(\[/|,!.\d] | (?:re|aw|sv|antw|odp):\s
      | (?:is|i|am|note|notice|message|reply|auto\S{0,12}|until|till?|from
      | through | back | bis | vom | ab | jusqu['’]\S{0,9} | du | dès | hasta | desde | dal | fino
      | até | tot | van(?:af)? | od | do | fra | до | с | по ) (?:\s|$) )""",
    _FLAGS,
)


def of_absence(subject: str) -> bool:
    """Whether it is the subject of a note of absence, not one about absence."""
    found = robotmarks.AWAY.match(subject)
    return bool(found and _AWAY_ENDS.match(subject, found.end()))


SUBJECTS = (
    (Category.AUTO_REPLY, robotmarks.AUTOMATIC),
    (Category.BOUNCE, _BOUNCE),
    (Category.CALENDAR, _CALENDAR),
    (Category.VERIFICATION, _VERIFICATION),
    (Category.AUTO_REPLY, _TICKET),
    (Category.NOTIFICATION, _PROGRAM),
)
