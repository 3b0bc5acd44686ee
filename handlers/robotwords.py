"""The words of programs that write mail, in the languages of our writers.

English, French, German, Spanish, Italian, Portuguese, Dutch, Polish, Swedish, Danish and
Norwegian, Finnish, Czech, Russian, Turkish, Japanese, Chinese, Korean. They are looked for
as they stand here, in folded text: no pattern, so nothing a stranger writes takes long.
Neighbours: handlers/softsigns.py looks for them, handlers/questionwords.py has what people ask.
"""
# ruff: noqa: RUF001 (the letters of other languages look like Latin ones)

from __future__ import annotations

import unicodedata

_SIGNS = str.maketrans("’‘`´“”„«»「」ı", "''''" + 7 * '"' + "i")


def folded(text: str) -> str:
    """The text in lower case, without accents, on one line: how words are compared here."""
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_SIGNS)).replace("'m ", " am ")
    return " ".join("".join(sign for sign in plain if not unicodedata.combining(sign)).split())


def phrases(lines: str) -> tuple[str, ...]:
    """What stands between the bars and line ends, folded."""
    return tuple(_with_ends(phrase) for phrase in lines.replace("\n", "|").split("|") if phrase)


def _with_ends(phrase: str) -> str:
    """A phrase folded; a space at its beginning or end stays, and is the end of a word."""
    before, after = phrase[:1].isspace(), phrase[-1:].isspace()
    return f"{' ' * before}{folded(phrase)}{' ' * after}"


# That somebody is away now, said of oneself or of a colleague.
AWAY = phrases("""
i am out of the office|i am out of office
i am currently out|i am currently away|i am away from
i am currently on|i am on vacation|i am on holiday
i am on leave|i am on annual leave|i am on maternity leave|i am on parental leave|i have no access
i will be out of the office|i will be out of office|i will be away|is out of the office
is currently out of|i am not in the office|i am away until
our office is closed|our offices are closed
je suis absent|je suis actuellement absent|je suis en congé|je suis actuellement en congé
je suis en vacances|je serai absent|je suis en déplacement|actuellement absent
nos bureaux sont fermés|absente du bureau|absent du bureau
ich bin nicht im büro|ich bin vom |ich bin im urlaub|ich bin derzeit nicht|ich bin zurzeit nicht
ich bin momentan nicht|ich bin zur zeit nicht|ich bin abwesend|ich bin aktuell nicht
ich befinde mich im urlaub|ich befinde mich bis|ich bin ab dem|ich bin bis zum
ich bin bis einschließlich|unser büro ist geschlossen|ich bin außer haus
bin ich nicht im büro|bin ich nicht erreichbar
estoy fuera de la oficina|estaré fuera de la oficina|me encuentro fuera|estoy de vacaciones
me encuentro de vacaciones|estoy ausente|estaré ausente|nuestras oficinas están cerradas
sono fuori ufficio|sono fuori sede|sono in ferie|sono assente|sarò assente|sarò fuori ufficio
sono attualmente fuori|non sono in ufficio
estou fora do escritório|estou ausente|estarei ausente|estou de férias|estarei fora
encontro-me ausente|encontro-me de férias|não estou no escritório
ik ben afwezig|ik ben niet aanwezig|ik ben op vakantie|ik ben met vakantie|ik ben niet op kantoor
ik ben momenteel niet|ik ben momenteel afwezig|ik ben tot en met
jestem na urlopie|jestem poza biurem|przebywam na urlopie|jestem nieobecn|będę nieobecn
przebywam poza biurem
jag är på semester|jag har semester|jag är inte på kontoret|jag är ledig|jag är inte på plats
jag är borta
jag är föräldraledig|jag är tjänstledig|jeg er på ferie|jeg er ikke på kontoret
jeg er ikke til stede|jeg holder ferie|jeg har ferie
jeg er ute av kontoret|jeg er bortreist|jeg er fraværende
olen lomalla|olen poissa|en ole toimistolla|olen vuosilomalla
jsem na dovolené|nejsem v kanceláři|jsem mimo kancelář|nejsem přítom|čerpám dovolenou
я в отпуске|нахожусь в отпуске|меня нет на рабочем месте|меня не будет в офисе
я отсутствую|буду отсутствовать|в настоящее время я нахожусь|сейчас в отпуске
ofis dışındayım|izindeyim|yıllık izindeyim|ofiste değilim|izinde olacağım
不在にしております|休暇をいただいて|休暇中です|外出しております|夏季休業|年末年始休業
我正在休假|我目前不在办公室|我不在办公室|我现在不在|我目前不在辦公室|我正在度假|外出期间
부재중입니다|휴가 중입니다|휴가중입니다|자리를 비웠|자리에 없습니다
""")
# What a note of absence goes on to say.
RETURNS = phrases("""
until| till |return|be back|urgent|please contact|reach me|my absence|limited access|no access
get back to you
jusqu|de retour|retour le|urgence|veuillez contacter|mon absence| bis |zurück|dringend|wenden sie
rückkehr
vertret|ab montag|wieder|abwesenheit|hasta|regres|vuelv|urgente|contact|ausencia|fino |rientr|torner
assenza| até |volt| tot |terug|dringende|afwezigheid|do dnia|wrac|wróc|piln|till den
tillbaka|åter|brådskande|tilbake|tilbage|til den|haster|asti|palaan|kiireell|vrát|návrat|naléhav
zastup
 до |вернусь|возвращ|срочн|kadar|döneceğim|acil|まで|戻り|緊急|回来|回來|返回|紧急|까지|복귀
긴급
""")
# That a program wrote this: an answer, or whatever else.
ANSWERED_BY_PROGRAM = phrases("""
this is an automatic reply|this is an automated reply|this is an automatic response
this is an automated response|this is an auto-reply|this is an autoreply|this is an auto reply
this is an auto-response|automatically generated reply|automatic acknowledgement
ceci est une réponse automatique|réponse automatique à votre
dies ist eine automatische antwort|diese antwort wurde automatisch|automatische abwesenheits
automatische eingangsbestätigung
esta es una respuesta automática|este es un mensaje de respuesta automática
questa è una risposta automatica|risposta generata automaticamente
esta é uma resposta automática|resposta gerada automaticamente
dit is een automatisch antwoord|dit is een automatische reactie
to jest automatyczna odpowiedź|ta odpowiedź została wygenerowana automatycznie
detta är ett automatiskt svar|dette er et automatisk svar|det här är ett autosvar
tämä on automaattinen vastaus|toto je automatická odpověď
это автоматический ответ|данный ответ сформирован автоматически
bu otomatik bir yanıttır|bu bir otomatik yanıttır
自動返信です|自動応答です|自動返信メール|这是自动回复|这是一封自动回复|此为自动回复|這是自動回覆
자동 회신입니다|자동 응답입니다
""")
WRITTEN_BY_PROGRAM = phrases("""
do not reply to this|don't reply to this|please do not reply|do not respond to this
this is an automated message|this is an automatic message|this is an automated email
this is an automated e-mail|this is an automated notification|this is a system generated
this is a system-generated|this message was automatically generated
this message was generated automatically|this email was automatically generated
this email was generated automatically|this email was sent automatically|sent from an unmonitored
this mailbox is not monitored|this inbox is not monitored|replies to this email
merci de ne pas répondre|veuillez ne pas répondre|ne pas répondre à ce|ne répondez pas à ce
ceci est un message automatique|ce message est généré automatiquement
cet e-mail est envoyé automatiquement|message généré automatiquement|mail automatique, merci
bitte antworten sie nicht auf diese|bitte nicht auf diese|dies ist eine automatisch
diese e-mail wurde automatisch|diese nachricht wurde automatisch|automatisch generierte
automatisch erstellte
no responda a este|no responder a este|por favor, no responda|este es un mensaje automático
mensaje generado automáticamente|este correo se ha generado automáticamente
non rispondere a questa|si prega di non rispondere|questa è un'email automatica
messaggio generato automaticamente|questo è un messaggio automatico
não responda a este|não responda este|por favor, não responda|mensagem automática
e-mail automático|gerada automaticamente
niet beantwoorden|niet op deze e-mail te reageren|reageer niet op deze|automatisch gegenereerd
automatisch verzonden
prosimy nie odpowiadać|nie odpowiadaj na tę|wiadomość wygenerowana automatycznie
wiadomość została wygenerowana automatycznie
svara inte på detta|går inte att svara på|automatiskt genererat|detta är ett automatiskt meddelande
svar ikke på denne|ikke besvare denne|automatisk generert|automatisk genereret
dette er en automatisk
älä vastaa tähän|tämä on automaattinen viesti|automaattisesti lähetetty
neodpovídejte na tento|na tento e-mail neodpovídejte|tento e-mail byl vygenerován automaticky
automaticky generovan
не отвечайте на это|пожалуйста, не отвечайте|это автоматическое сообщение
письмо сформировано автоматически|сообщение создано автоматически|отвечать на него не нужно
bu e-postayı yanıtlamayın|lütfen bu e-postaya yanıt vermeyin|otomatik olarak gönderil
bu otomatik bir mesajdır
このメールに返信|返信しないでください|送信専用|自動的に送信|自動送信
请勿回复|請勿回覆|請勿直接回覆|系统自动发送|系統自動發送|自动发送，请勿
회신하지 마|발신 전용|발신전용|자동으로 발송
""")
# That an assistant which is no person wrote this.
WRITTEN_BY_AI = phrases("""
i am an ai assistant|i am an ai-powered|as an ai assistant
as an ai language model|as a language model|i am an artificial intelligence
i am a virtual assistant|i am an automated assistant|i am an ai agent
written by an ai|generated by an ai|written by artificial intelligence|answered by an ai
generated by artificial intelligence|drafted by an ai|this is an ai-generated|this ai-generated
je suis un assistant virtuel|je suis une intelligence artificielle|je suis un assistant ia
rédigée par une ia|rédigé par une ia|généré par une ia|rédigée par une intelligence artificielle
générée par une intelligence artificielle
ich bin ein ki-assistent|ich bin ein virtueller assistent|ich bin eine ki|von einer ki verfasst
von einer ki erstellt|von einer künstlichen intelligenz
soy un asistente virtual|soy un asistente de ia|generado por una ia|generada por una ia
redactada por una ia|escrito por una ia
sono un assistente virtuale|sono un assistente ai|generato da un'ia|generata da un'ia
sou um assistente virtual|sou uma ia|gerado por uma ia|gerada por uma ia
ik ben een ai-assistent|ik ben een virtuele assistent|door een ai geschreven|gegenereerd door ai
jestem wirtualnym asystentem|jestem asystentem ai|wygenerowana przez ai
jag är en ai-assistent|jag är en virtuell assistent|jeg er en ai-assistent
jeg er en virtuel assistent|jeg er en virtuell assistent|olen tekoälyavustaja
jsem virtuální asistent|jsem ai asistent|я виртуальный помощник|я виртуальный ассистент
сгенерировано искусственным интеллектом|ben bir yapay zeka|yapay zeka tarafından
私はaiアシスタント|aiによって作成|aiが作成|我是人工智能|我是ai助手|由ai生成|由人工智能生成
ai 비서입니다
""")
# That a request was received and somebody will see to it.
RECEIVED = phrases("""
your request has been received|we have received your request|we have received your email
we have received your e-mail|we have received your message|we've received your request
we received your request|your message has been received|we received your message
we have received your inquiry|a ticket has been created|your ticket has been created
has been assigned the ticket|your ticket number is|a support ticket has been|ticket number is
your request (#|your support request|our team will get back to you|we will get back to you within
we will respond within|a member of our team will
nous avons bien reçu votre|votre demande a bien été|votre demande a été enregistrée
votre message a bien été reçu|nous accusons réception de votre|un ticket a été créé
wir haben ihre anfrage erhalten|wir haben ihre nachricht erhalten|ihre anfrage ist bei uns
ihre anfrage wurde|ihre nachricht ist bei uns eingegangen|vielen dank für ihre anfrage. wir
ein ticket wurde|ihre ticketnummer
hemos recibido su|hemos recibido tu|su solicitud ha sido|se ha creado un ticket
abbiamo ricevuto la tua|abbiamo ricevuto la sua|la sua richiesta è stata
recebemos a sua|recebemos sua|seu chamado foi|a sua solicitação foi|seu ticket foi
wij hebben uw|we hebben uw|we hebben je bericht|uw aanvraag is|uw verzoek is
otrzymaliśmy twoj|otrzymaliśmy państwa|twoje zgłoszenie|zgłoszenie zostało
vi har mottagit ditt|vi har tagit emot ditt|ditt ärende|vi har modtaget din|vi har mottatt din
din henvendelse er|olemme vastaanottaneet|viestisi on vastaanotettu
přijali jsme váš|váš požadavek byl|obdrželi jsme váš
мы получили ваш|ваше обращение|ваша заявка|ваш запрос принят
talebiniz alınmıştır|talebiniz alındı|mesajınız bize ulaş
お問い合わせを受け付け|お問い合わせありがとうございます|受け付けました
我们已收到您的|我们已经收到您|您的请求已|我們已收到您|문의가 접수|접수되었습니다
""")
REPLY_ABOVE = phrases("""
reply above this line|please type your reply above|write your reply above|répondez au-dessus de
répondre au-dessus de cette|bitte antworten sie oberhalb|oberhalb dieser linie|über dieser linie
responda por encima de|escriba su respuesta por encima|rispondi sopra questa|responda acima
antwoord boven deze|typ uw antwoord boven|odpowiedz powyżej|svara ovanför|skriv dit svar over
ответьте выше этой
""")
# A code, a link to confirm something.
CODE = phrases("""
verification code is|security code is|code is:|your code:|one-time code|one-time password
one time password|your login code|your sign-in code|enter this code|enter the following code
use this code|use the code below|verify your email|confirm your email|confirm your e-mail
verify your account|activate your account|confirm your account|confirm your registration
confirm your subscription|reset your password|password reset
votre code de|code de vérification|code de confirmation|code à usage unique
confirmer votre adresse|confirmez votre adresse|activer votre compte|réinitialiser votre mot
ihr code lautet|bestätigungscode|verifizierungscode|sicherheitscode|einmalcode|einmalpasswort
bestätigen sie ihre e-mail|bestätigen sie bitte ihre|konto zu aktivieren|konto aktivieren
passwort zurücksetzen
código de verificación|código de seguridad|tu código es|su código es|confirma tu correo
confirme su correo|verifica tu cuenta|restablecer tu contraseña|restablecer su contraseña
codice di verifica|codice di sicurezza|il tuo codice|conferma il tuo indirizzo
código de verificação|código de segurança|seu código|confirme seu e-mail|redefinir sua senha
verificatiecode|beveiligingscode|bevestig uw e-mail|bevestig je e-mail|wachtwoord opnieuw
kod weryfikacyjny|potwierdź swój adres|verifieringskod|engångskod|bekräfta din e-post
bekræftelseskode|bekreft e-post|bekræft din e-mail|vahvistuskoodi|vahvista sähköposti
ověřovací kód|potvrďte svou|код подтверждения|проверочный код|подтвердите адрес|сброс пароля
doğrulama kodu|e-posta adresinizi doğrula|認証コード|確認コード|ワンタイムパスワード
验证码|驗證碼|인증번호|인증 코드
""")
# What stands below a code, and in no letter.
CODE_ENDS = phrases("""
if you did not request this|if you didn't request this|if you did not make this request
if you didn't make this request|if this wasn't you|if this was not you|code expires in
code will expire|link expires in|link will expire|valid for 10 minutes|do not share this code
never share this code|si vous n'êtes pas à l'origine|si vous n'avez pas demandé|expire dans
ne communiquez ce code|wenn sie dies nicht angefordert|falls sie diese anfrage nicht
wenn sie diese anforderung nicht|ist 10 minuten gültig|si no has solicitado|si no solicitó
si usted no solicitó|no compartas este código|se non hai richiesto|se você não solicitou
als u dit niet heeft aangevraagd|als je dit niet hebt aangevraagd|jeśli to nie ty
om du inte har begärt|hvis du ikke har bedt|jos et pyytänyt|pokud jste o to nežádali
если вы не запрашивали|никому не сообщайте|eğer bu isteği siz|心当たりがない場合|お心当たりのない
如果不是您本人|若非本人|요청하지 않았다면|본인이 요청하지
""")
# An order, a payment, a parcel.
ORDERED = phrases("""
thank you for your order|thanks for your order|your order has been|your order #|order number:
order confirmation|your order has shipped|has been shipped|your payment of|your payment has been
we have received your payment|payment receipt|your receipt from|your invoice is available
your invoice is attached|your invoice is now available|your subscription has been|tracking number:
merci pour votre commande|votre commande a été|numéro de commande|votre commande n
votre facture est disponible|votre paiement a|votre colis
vielen dank für ihre bestellung|ihre bestellung wurde|bestellnummer:|auftragsbestätigung
ihre rechnung steht|ihre zahlung wurde|ihre sendung
gracias por tu pedido|gracias por su pedido|tu pedido ha sido|número de pedido|su factura
grazie per il tuo ordine|numero d'ordine|il tuo ordine è|obrigado pelo seu pedido|seu pedido foi
número do pedido|bedankt voor je bestelling|bedankt voor uw bestelling|bestelnummer
dziękujemy za zamówienie|numer zamówienia|tack för din beställning|ordernummer
tak for din ordre|takk for din bestilling|ordrenummer|kiitos tilauksestasi|tilausnumero
děkujeme za objednávku|číslo objednávky|спасибо за заказ|номер заказа|ваш заказ
siparişiniz için teşekkür|sipariş numara|ご注文ありがとう|注文番号|感谢您的订购|您的订单|訂單編號
订单号|주문해 주셔서|주문번호
""")
UNSUBSCRIBE = phrases("""
unsubscribe|manage your preferences|email preferences|update your preferences|opt out of
you are receiving this email because|you received this email because|no longer wish to receive
no longer want to receive|se désabonner|se désinscrire|désabonnement|désinscription
vous recevez cet e-mail|abmelden|abbestellen|newsletter abmelden|sie erhalten diese e-mail
darse de baja|cancelar la suscripción|cancelar suscripción|disiscriviti|cancella l'iscrizione
annulla l'iscrizione|cancelar inscrição|descadastrar|cancelar a subscrição|uitschrijven|afmelden
wypisz się|zrezygnuj z subskrypcji|avregistrera|avsluta prenumeration|afmeld|avmeld|meld deg av
peruuta tilaus|peru tilaus|odhlásit|отписаться|отказаться от рассылки|abonelikten çık
配信停止|購読解除|退订|取消订阅|取消訂閱|수신거부|수신 거부
""")
IN_BROWSER = phrases("""
view in browser|view in your browser|view this email in|view online|view it in your browser
having trouble viewing|trouble viewing this|can't see this email|read online|web version
voir dans le navigateur|afficher dans le navigateur|version en ligne|voir la version en ligne
im browser ansehen|im browser anzeigen|im browser öffnen|webversion|ver en el navegador
ver en línea|visualizza nel browser|apri nel browser|ver no navegador|bekijk in browser
bekijk de webversie|bekijk online|zobacz w przeglądarce|wyświetl w przeglądarce|visa i webbläsaren
se i browser|vis i nettleser|se i browseren|avaa selaimessa|zobrazit v prohlížeči
открыть в браузере|посмотреть в браузере|tarayıcıda görüntüle|ブラウザで表示|ブラウザで見る
在浏览器中查看|在瀏覽器中|브라우저에서 보기
""")
# What became of a mail on its way.
UNDELIVERED = phrases("""
could not be delivered|couldn't be delivered|was not delivered to|has not been delivered
did not reach the following|did not reach some or all|delivery to the following
message delivery failed|delivery has failed to these|error delivering your mail|unable to deliver
undeliverable|had permanent fatal errors|message was undeliverable|permanent error
trouble delivering|delivery problems|could not be sent|host unknown|returned permanent errors
user unknown|mailbox is full|mailbox unavailable|no such user|address not found
550 5.|550-5.|552 5.|554 5.|n'a pas pu être remis|n'a pu être remis|non remis
konnte nicht zugestellt werden|unzustellbar|no se pudo entregar|no se ha podido entregar
non è stato possibile consegnare|impossibile recapitare|não pôde ser entregue
não foi possível entregar|kon niet worden bezorgd|kon niet worden afgeleverd
nie mogła zostać dostarczona|nie została dostarczona|kunde inte levereras|kunne ikke leveres
ei voitu toimittaa|nemohla být doručena|nebylo možné doručit|не может быть доставлено
не было доставлено|не удалось доставить|iletilemedi|配信できませんでした|送信できませんでした
无法投递|未能送达|無法投遞|전송되지 않았|배달되지
""")
