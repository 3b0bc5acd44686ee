"""The words by which a person asks something, in the languages of our writers.

Neighbours: handlers/robotwords.py folds them and has the words of programs;
handlers/softsigns.py looks for them.
"""
# ruff: noqa: RUF001 (the letters of other languages look like Latin ones)

from __future__ import annotations

from handlers.robotwords import phrases

# Requests, where no question mark says that somebody wants to know something. None of them
# is what a note of absence offers or regrets: "you can write to", "I would like to inform".
REQUESTS = phrases("""
can you |could you |would you |please tell |please explain|please let me know|please advise
please confirm|please answer|please review|please reply before|let me know |please check whether
please send me|i would like to know|i would like to ask|i would like a |i would like my
i'd like to know|i'd like to ask|i want to know|i want to ask|i want a |i need a |i need to know
i wonder|my question|i have a question|how do i |how can i |what should i |what can i |help me
should i |i received this|i got this|i got the following|i received the following
pouvez-vous|pourriez-vous|peux-tu|pourrais-tu|je voudrais|je souhaite savoir|j'aimerais
ma question|dites-moi|merci de me dire|merci de me répondre|merci de me confirmer|confirmez-moi
merci de m'envoyer|merci de m'indiquer|merci de m'aider|merci de confirmer|veuillez me dire
veuillez me confirmer|veuillez me répondre|que dois-je|que puis-je|aidez-moi|répondez-moi
comment faire|dois-je|j'ai reçu ce|j'ai reçu un
können sie mir|könnten sie|kannst du mir|könntest du|ich möchte wissen|ich möchte fragen
ich hätte gern|meine frage|ich würde gern wissen|bitte sagen sie|bitte erklären|bitte bestätigen
bitte teilen sie mir|bitte prüfen|bitte senden sie mir|bitte schicken|bitte geben sie mir
bitte antworten sie mir|bitte schreiben sie mir|bitte um antwort|bitte um auskunft|was soll ich
bitte um rückmeldung|was kann ich|muss ich|wie kann ich|ich habe folgende|ich habe diese
ich bekam diese
puede usted decir|puede decirme|podría decirme|podría ayudar|podría responder|me gustaría saber
quisiera saber|quisiera preguntar|mi pregunta|necesito saber|qué debo|qué puedo|cómo puedo|dígame
por favor, confirme|por favor confirme|envíeme|respóndame|he recibido este|he recibido un
può dirmi|potrebbe |vorrei sapere|vorrei chiedere|la mia domanda|mi piacerebbe sapere|cosa devo
cosa posso|come posso|mi confermi|la prego di|mi faccia sapere|mi mandi|ho ricevuto quest
ho ricevuto un
poderia me |poderia responder|gostaria de saber|gostaria de perguntar|minha pergunta|pode me dizer
podem me dizer|o que devo|o que posso|como posso|envie-me|diga-me|recebi est
recebi um
kunt u mij|kunt u me |kun je me |kun je mij|zou u mij|zou u me |ik wil graag weten|mijn vraag
ik zou graag weten|wat moet ik|wat kan ik|moet ik|laat me weten|laat mij weten|bevestig mij
ik heb deze|ik kreeg deze
czy może|czy mogę|chciałbym wiedzieć|chciałabym wiedzieć|chciałbym zapytać|chciałabym zapytać
proszę o odpowiedź|proszę o potwierdzenie|proszę o informację|proszę o pomoc|proszę potwierdz
proszę mi |moje pytanie|co mam zrobić|otrzymałem t|otrzymałam t|dostałem t|dostałam t
kan du svara|kan du hjälpa|kan du säga|kan du skicka|kan ni svara|kan ni hjälpa|skulle du kunna
jag vill veta|jag skulle vilja veta|jag undrar|min fråga|vad ska jag|var vänlig bekräfta
bekräfta gärna|jag har fått|jag fick
kan du svare|kan du hjelpe|kan du hjælpe|kan du sende|kan du fortælle|jeg vil gerne vide
jeg vil gjerne vite|jeg lurer på|mit spørgsmål|mitt spørsmål|hvad skal jeg|hva skal jeg
jeg har fået|jeg fikk
voitteko|voisitko|voisitteko|haluaisin tietää|haluaisin kysyä|kysymykseni|mitä minun
můžete mi|mohl byste|mohla byste|chtěl bych vědět|chtěla bych vědět|chtěl bych se zeptat
chtěla bych se zeptat|moje otázka|co mám|prosím, potvrďte|prosím potvrďte|dostal jsem|dostala jsem
подскажите|скажите, пожалуйста|не могли бы|можете ли|хотел бы узнать|хотела бы узнать
хотел бы спросить|хотела бы спросить|мой вопрос|что мне делать|помогите|объясните|как мне
прошу ответить|прошу подтвердить|прошу помочь|пришлите мне|пожалуйста, подтвердите|мне пришло
мне прислали
misiniz|musunuz|öğrenmek istiyorum|sormak istiyorum|bilmek istiyorum|sorum
ne yapmalıyım|bana gelen
教えて|ですか|ますか|でしょうか|お願いしたい|知りたい|届きました|请问|請問|能否|可以吗|可以嗎|怎么办
怎麼辦|想问|想問|我想知道|我收到了|알려주|알려 주|궁금|인가요|나요|까요|받았습니다
""")
# What programs ask, too.
ROBOT_QUESTIONS = phrases("""
question|need help|need more help|trouble viewing|having trouble|can't see|cannot see|not request
didn't request|wasn't you|not you|unsubscribe|receive these|receive this|want to receive|wish to
need assistance|urgent|help center|faq|forgot your|des questions|besoin d'aide|une question
fragen|hilfe|dringend|preguntas|ayuda|urgente|domande|aiuto|dúvidas|ajuda|vragen|hulp
pytania|pomoc|frågor|hjälp|spørgsmål|spørsmål|hjelp|kysyttävää|otázky|вопросы|нужна помощь
sorularınız|yardım
""")
